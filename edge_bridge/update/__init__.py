"""Fetches what updates a device: bundles of the system, images of the program."""
