"""Pictures to detections: motion gate, detectors."""

import os

# ONNX Runtime since 1.29 tells its maker about the device, the program and the models, unless this
# is set before it is loaded. What looks at people's pictures tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
