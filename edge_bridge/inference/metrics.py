"""What local inference says to Prometheus, in the recording process."""

from prometheus_client import Counter, Gauge

DROPPED_GOPS = Counter(
    "vigil_inference_dropped_gops",
    "Groups of pictures that inference did not get, whole or in part: it was slow or down",
    ["camera"],
)
PICTURES = Counter(
    "vigil_inference_pictures",
    "Sampled pictures: looked (detector ran), still (no motion), behind (no time), "
    "broken (not decodable)",
    ["camera", "outcome"],
)
OBJECTS = Counter("vigil_inference_objects", "Objects found", ["camera", "label"])
RESTARTS = Counter("vigil_inference_restarts", "Ends of the inference process", ["reason"])
UP = Gauge("vigil_inference_up", "1 while the inference process works")
RATE = Gauge("vigil_inference_rate_fps", "Pictures of each camera a second, lowered when slow")
LAG = Gauge("vigil_inference_lag_seconds", "How long the newest packet waited to be looked at")
LOST = Counter("vigil_inference_lost_batches", "Batches of detections the outbox did not take")
SWAPS = Counter(
    "vigil_inference_swaps",
    "Workers that another was to take over from: taken, or refused (the old one goes on)",
    ["outcome"],
)
MEMORY = Gauge("vigil_inference_memory_bytes", "Resident memory of the inference process")
