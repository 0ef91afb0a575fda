"""Pictures to detections: motion gate, detectors."""
