"""Prometheus metrics of local inference, in the recording process."""

from prometheus_client import Counter, Gauge

DROPPED_GOPS = Counter(
    "vigil_inference_dropped_gops",
    "Groups of pictures (GOPs) that inference lost, whole or in part: it was slow or down",
    ["camera"],
)
PICTURES = Counter(
    "vigil_inference_pictures",
    "Sampled pictures: looked (detector ran), still (no motion), behind (no time), "
    "broken (not decodable)",
    ["camera", "outcome"],
)
OBJECTS = Counter("vigil_inference_objects", "Detected objects", ["camera", "label"])
RESTARTS = Counter("vigil_inference_restarts", "Times that the inference process ended", ["reason"])
UP = Gauge("vigil_inference_up", "1 while the inference process works")
RATE = Gauge("vigil_inference_rate_fps", "Pictures of each camera a second, lowered when slow")
LAG = Gauge("vigil_inference_lag_seconds", "How long the newest packet waited for the worker")
LOST = Counter(
    "vigil_inference_lost_batches", "Batches of detections that could not be stored in the outbox"
)
SWAPS = Counter(
    "vigil_inference_swaps",
    "Attempts to replace the worker: taken (the new one works), refused (the old one continues)",
    ["outcome"],
)
MEMORY = Gauge("vigil_inference_memory_bytes", "Resident memory of the inference process")
