"""The indexer's Prometheus metrics of cameras and edges: their newest footage and heartbeat.

There is one series per camera and up to five per edge, for those heard of in the last hours.
After a rebalance another worker reports newer values: query the maximum over all workers.

The service levels (ops/slo/vigil.yaml) use four series per site and two latencies. Every indexer
reads those of the sites from the catalog.
"""

from collections.abc import Iterable, Sequence

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from domain.camera_state import ALERT_LIMITS, SERVICE_LIMITS
from domain.events import Detection, FragmentArrived, Heartbeat
from domain.times import utc_ms
from stores.catalog.site_health import SiteHealth
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
_RENEW = Gauge(
    "vigil_edge_certificate_renew_seconds",
    "UTC from when on an edge's certificate is to be renewed, from its newest heartbeat",
    ("site", "edge"),
    registry=REGISTRY,
)
_EXPIRES = Gauge(
    "vigil_edge_certificate_end_seconds",
    "UTC of the end of an edge's certificate, from its newest heartbeat",
    ("site", "edge"),
    registry=REGISTRY,
)
_LATENCY_BUCKETS = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 60)
_PLAYABLE_SECONDS = Histogram(
    "vigil_playable_seconds",
    "From the end of a fragment until it can be played; without what waited at its site",
    buckets=_LATENCY_BUCKETS,
    registry=REGISTRY,
)
_DETECTION_SECONDS = Histogram(
    "vigil_detection_seconds",
    "From a picture until its detections can be read; without what waited at its site",
    buckets=_LATENCY_BUCKETS,
    registry=REGISTRY,
)
_BACKLOG = Counter(
    "vigil_backlog_events",
    "Events that came to Kafka a minute late or later: the latencies do not count them",
    ("type",),
    registry=REGISTRY,
)
_SITE_CAMERAS = Gauge(
    "vigil_site_cameras", "Cameras of a site in use that have footage, from the catalog",
    ("site",),
    registry=REGISTRY,
)  # fmt: skip
_SITE_CAMERAS_SENDING = Gauge(
    "vigil_site_cameras_sending",
    "Of the cameras of a site: with footage of the last minute, from the catalog",
    ("site",),
    registry=REGISTRY,
)
_SITE_EDGES = Gauge(
    "vigil_site_edges", "Edge devices of a site, from the catalog", ("site",), registry=REGISTRY
)
_SITE_EDGES_ONLINE = Gauge(
    "vigil_site_edges_online",
    "Of the edge devices of a site: heard of in the last three minutes, from the catalog",
    ("site",),
    registry=REGISTRY,
)
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
    if event.identity_renew_ms is None or event.identity_expires_ms is None:
        _forget_certificate(edge)
        return
    _RENEW.labels(*edge).set(event.identity_renew_ms / 1_000)
    _EXPIRES.labels(*edge).set(event.identity_expires_ms / 1_000)


def forget_silent(now_ms: int) -> None:
    """Remove the series of cameras and edges that have been silent for FORGOTTEN_MS."""
    for camera in [each for each, at_ms in _newest_ms.items() if at_ms < now_ms - FORGOTTEN_MS]:
        del _newest_ms[camera]
        _NEWEST.remove(camera)
    for edge in [each for each, at_ms in _sent_ms.items() if at_ms < now_ms - FORGOTTEN_MS]:
        del _sent_ms[edge]
        for gauge in (_HEARTBEAT, _SPOOL_OLDEST, _DISK_FREE):
            gauge.remove(*edge)
        _forget_certificate(edge)


def _forget_certificate(edge: tuple[str, str]) -> None:
    for gauge in (_RENEW, _EXPIRES):
        gauge.remove_by_labels({"site": edge[0], "edge": edge[1]})


def observe_playable(event: FragmentArrived, logged_ms: int, now_ms: int) -> None:
    """Count how long after its end a fragment can be played. `logged_ms`: its time in Kafka."""
    if logged_ms - event.end_ms > SERVICE_LIMITS.backlog_ms:
        _BACKLOG.labels(event.type).inc()
    else:
        _PLAYABLE_SECONDS.observe(max(0, now_ms - event.end_ms) / 1_000)


def observe_detection(event: Detection, logged_ms: int, now_ms: int) -> None:
    """Count how long after its newest picture a detection can be read. Replays do not count."""
    if event.replay is not None:
        return
    at_ms = event.frames[-1].at_ms
    if logged_ms - at_ms > SERVICE_LIMITS.backlog_ms:
        _BACKLOG.labels(event.type).inc()
    else:
        _DETECTION_SECONDS.observe(max(0, now_ms - at_ms) / 1_000)


def set_site_health(sites: Sequence[SiteHealth]) -> None:
    """Set the series of all sites. An empty list: the catalog does not answer.

    Then there are no series: old values would hide that the catalog is not read.
    """
    for gauge in (_SITE_CAMERAS, _SITE_CAMERAS_SENDING, _SITE_EDGES, _SITE_EDGES_ONLINE):
        gauge.clear()
    for each in sites:
        if each.cameras:
            _SITE_CAMERAS.labels(each.site).set(each.cameras)
            _SITE_CAMERAS_SENDING.labels(each.site).set(each.cameras_sending)
        if each.edges:
            _SITE_EDGES.labels(each.site).set(each.edges)
            _SITE_EDGES_ONLINE.labels(each.site).set(each.edges_online)
