"""What cloud inference counts."""

from prometheus_client import Counter, Gauge, Histogram

from streams.metrics import REGISTRY

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

QUEUED = Gauge(
    "vigil_inference_queued_rows", "Pictures that wait for a model", ("model", "priority"),
    registry=REGISTRY,
)  # fmt: skip
WAIT = Histogram(
    "vigil_inference_wait_seconds",
    "How long a request waited for its batch",
    ("model", "priority"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
BATCH_ROWS = Histogram(
    "vigil_inference_batch_rows", "Pictures of a batch", ("model",),
    buckets=(1, 2, 4, 8, 16, 32, 64), registry=REGISTRY,
)  # fmt: skip
COMPUTE = Histogram(
    "vigil_inference_compute_seconds",
    "How long the model computed a batch",
    ("model",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
REQUESTS = Counter(
    "vigil_inference_requests",
    "Requests to models. outcome: done, invalid, overloaded, quota, late, cancelled, not-ready, "
    "failed",
    ("model", "tenant", "outcome"),
    registry=REGISTRY,
)
READY = Gauge(
    "vigil_inference_model_ready", "1 while a model answers as it should", ("model", "version"),
    registry=REGISTRY,
)  # fmt: skip
FALLBACK = Gauge(
    "vigil_inference_fallback",
    "1 while another execution provider computes than the one that was asked for",
    ("model", "version", "provider"),
    registry=REGISTRY,
)
MEMORY = Gauge(
    "vigil_inference_model_memory_bytes", "Resident memory of a model's process", ("model",),
    registry=REGISTRY,
)  # fmt: skip
STARTS = Counter(
    "vigil_inference_process_starts",
    "Processes of models that were started. reason: start, ended, memory",
    ("model", "reason"),
    registry=REGISTRY,
)
