"""Local inference, in a process of its own: packets in, detections out.

feed      capture offers encoded packets here; it never waits
process   starts, watches and restarts the worker; hands detections on
worker    the other process: decode, sample, motion gate, detector
"""
