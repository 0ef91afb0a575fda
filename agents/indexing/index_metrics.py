"""The indexer's Prometheus metrics of cameras and edges: their newest footage and heartbeat.

There is one series per camera and three per edge, for those seen since this process started.
After a rebalance another worker reports newer values: query the maximum over all workers.
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
_HEARTBEAT = Gauge(
    "vigil_edge_heard_seconds", "UTC of an edge's newest heartbeat", ("site", "edge"),
    registry=REGISTRY,
)  # fmt: skip
_SPOOL_OLDEST = Gauge(
    "vigil_edge_oldest_waiting_seconds",
    "Age of the oldest fragment in the edge's spool, from its newest heartbeat",
    ("site", "edge"),
    registry=REGISTRY,
)
_DISK_FREE = Gauge(
    "vigil_edge_free_bytes", "Free bytes of the edge's spool disk, from its newest heartbeat",
    ("site", "edge"),
    registry=REGISTRY,
)  # fmt: skip
_newest_ms: dict[str, int] = {}
_sent_ms: dict[tuple[str, str], int] = {}


def observe_fragment(event: FragmentArrived) -> None:
    """Set the end of a camera's newest footage."""
    if event.end_ms > _newest_ms.get(event.camera, 0):
        _newest_ms[event.camera] = event.end_ms
        _NEWEST.labels(event.camera).set(event.end_ms / 1_000)


def observe_heartbeat(event: Heartbeat) -> None:
    """Set the metrics of an edge from its heartbeat, unless a newer one came before."""
    edge = event.site, event.edge
    if event.sent_ms < _sent_ms.get(edge, 0):
        return
    _sent_ms[edge] = event.sent_ms
    oldest_ms = event.spool_oldest_ms
    oldest_age_s = 0.0 if oldest_ms is None else max(0, event.sent_ms - oldest_ms) / 1_000
    _HEARTBEAT.labels(*edge).set(event.sent_ms / 1_000)
    _SPOOL_OLDEST.labels(*edge).set(oldest_age_s)
    _DISK_FREE.labels(*edge).set(event.disk_free_bytes)
