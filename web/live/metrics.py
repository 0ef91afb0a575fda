"""Metrics of live pictures. Their names and labels are a public contract."""

from prometheus_client import Counter, Gauge

from streams.metrics import REGISTRY

PICTURES = Gauge(
    "vigil_live_pictures", "Feeds of cameras that this link worker relays now", registry=REGISTRY
)
RELAY_BYTES = Counter(
    "vigil_live_relay_bytes", "Bytes of live pictures that devices sent", registry=REGISTRY
)
VIEWERS = Gauge(
    "vigil_live_viewers", "Viewers of live pictures at this web worker", registry=REGISTRY
)
BYTES = Counter("vigil_live_bytes", "Bytes of live pictures sent to viewers", registry=REGISTRY)
DROPPED = Counter(
    "vigil_live_dropped_gops",
    "Groups of pictures that were not sent: the viewer was too slow",
    registry=REGISTRY,
)
STALLED = Counter(
    "vigil_live_stalled",
    "Sockets of viewers that were cut off: they were open and did not answer",
    registry=REGISTRY,
)
ENDED = Counter(
    "vigil_live_ended",
    "Live pictures that the server ended. reason: as in the message `end`",
    ("reason",),
    registry=REGISTRY,
)
