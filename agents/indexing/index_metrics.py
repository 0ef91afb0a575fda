"""The indexer's Prometheus metrics of cameras and edges: their newest footage and heartbeat.

There is one series per camera and three per edge, for those heard of in the last hours.
After a rebalance another worker reports newer values: query the maximum over all workers.
"""

from collections.abc import Iterable

from prometheus_client import Gauge, Metric
from prometheus_client.registry import Collector

from domain.camera_state import ALERT_LIMITS
from domain.events import FragmentArrived, Heartbeat
from domain.times import utc_ms
from streams.metrics import REGISTRY


class _SilentSeries(Collector):
    """Removes old series when metrics are read, also where no event arrives any more."""

    def collect(self) -> Iterable[Metric]:
        forget_silent(utc_ms())
        return ()


REGISTRY.register(_SilentSeries())  # before the series: it is read before them
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
FORGOTTEN_MS = ALERT_LIMITS.out_of_use_ms
"""A series goes so long after the last footage or heartbeat. The alerts end then too."""
_newest_ms: dict[str, int] = {}
_sent_ms: dict[tuple[str, str], int] = {}


def observe_fragment(event: FragmentArrived, now_ms: int) -> None:
    """Set the end of a camera's newest footage, if that is not too old."""
    end_ms = min(event.end_ms, now_ms)
    if end_ms > _newest_ms.get(event.camera, now_ms - FORGOTTEN_MS):
        _newest_ms[event.camera] = end_ms
        _NEWEST.labels(event.camera).set(end_ms / 1_000)


def observe_heartbeat(event: Heartbeat, now_ms: int) -> None:
    """Set the metrics of an edge from its heartbeat, unless a newer one came before."""
    edge = event.site, event.edge
    # A clock that is fast counts up to now only. Else its series would stay.
    sent_ms = min(event.sent_ms, now_ms)
    if sent_ms < _sent_ms.get(edge, now_ms - FORGOTTEN_MS):
        return
    _sent_ms[edge] = sent_ms
    oldest_ms = event.spool_oldest_ms
    oldest_age_s = 0.0 if oldest_ms is None else max(0, event.sent_ms - oldest_ms) / 1_000
    _HEARTBEAT.labels(*edge).set(sent_ms / 1_000)
    _SPOOL_OLDEST.labels(*edge).set(oldest_age_s)
    _DISK_FREE.labels(*edge).set(event.disk_free_bytes)


def forget_silent(now_ms: int) -> None:
    """Remove the series of cameras and edges that have been silent for FORGOTTEN_MS."""
    for camera in [each for each, at_ms in _newest_ms.items() if at_ms < now_ms - FORGOTTEN_MS]:
        del _newest_ms[camera]
        _NEWEST.remove(camera)
    for edge in [each for each, at_ms in _sent_ms.items() if at_ms < now_ms - FORGOTTEN_MS]:
        del _sent_ms[edge]
        for gauge in (_HEARTBEAT, _SPOOL_OLDEST, _DISK_FREE):
            gauge.remove(*edge)
