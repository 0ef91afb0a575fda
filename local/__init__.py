"""Embedded services and the demo."""
