"""Frames to detections: motion gate, detectors, tracking."""

import os

# ONNX Runtime since 1.29 reports the device, the program and the models to its maker, unless this
# is set before it is loaded. A program that analyses people's pictures must not report them.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
