"""What the indexer tells Prometheus of cameras and edges: when they were last heard, how they are.

One series per camera and three per edge that this process heard of since it started. Another
worker that takes their partitions over tells newer values: ask for the largest.
"""

from prometheus_client import Gauge

from domain.events import FragmentArrived, Heartbeat
from streams.metrics import REGISTRY

_NEWEST = Gauge(
    "vigil_camera_newest_seconds",
    "UTC of the end of a camera's newest fragment in the cloud",
    ("camera",),
    registry=REGISTRY,
)
_HEARD = Gauge(
    "vigil_edge_heard_seconds", "UTC of an edge's newest heartbeat", ("site", "edge"),
    registry=REGISTRY,
)  # fmt: skip
_SPOOL_OLDEST = Gauge(
    "vigil_edge_oldest_waiting_seconds",
    "Age of the oldest fragment that waits at the edge, as its newest heartbeat says",
    ("site", "edge"),
    registry=REGISTRY,
)
_DISK_FREE = Gauge(
    "vigil_edge_free_bytes", "Free bytes of the edge's spool disk, as its newest heartbeat says",
    ("site", "edge"),
    registry=REGISTRY,
)  # fmt: skip
_newest_ms: dict[str, int] = {}
_sent_ms: dict[tuple[str, str], int] = {}


def observe_fragment(event: FragmentArrived) -> None:
    """Note that a camera's footage reaches to this fragment's end."""
    if event.end_ms > _newest_ms.get(event.camera, 0):
        _newest_ms[event.camera] = event.end_ms
        _NEWEST.labels(event.camera).set(event.end_ms / 1_000)


def observe_heartbeat(event: Heartbeat) -> None:
    """Note what an edge says of itself."""
    edge = event.site, event.edge
    if event.sent_ms < _sent_ms.get(edge, 0):
        return
    _sent_ms[edge] = event.sent_ms
    oldest_ms = event.spool_oldest_ms
    waits_s = 0.0 if oldest_ms is None else max(0, event.sent_ms - oldest_ms) / 1_000
    _HEARD.labels(*edge).set(event.sent_ms / 1_000)
    _SPOOL_OLDEST.labels(*edge).set(waits_s)
    _DISK_FREE.labels(*edge).set(event.disk_free_bytes)
