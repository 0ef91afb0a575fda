"""Prometheus metrics of the edge; names and labels are a public contract."""

import contextlib
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

RECORDING = Gauge("vigil_edge_recording", "1 while the camera is recorded", ["camera"])
FRAMES = Counter("vigil_edge_frames", "Pictures recorded", ["camera"])
FRAGMENTS = Counter("vigil_edge_fragments", "Fragments closed", ["camera"])
FRAGMENT_BYTES = Counter("vigil_edge_fragment_bytes", "Bytes of closed fragments", ["camera"])
NEWEST = Gauge(
    "vigil_edge_newest_fragment_seconds", "End of the newest fragment, UTC seconds", ["camera"]
)
RUNS_ENDED = Counter("vigil_edge_runs_ended", "Runs that ended", ["camera"])
PACKETS_LOST = Counter(
    "vigil_edge_packets_lost", "RTP packets that a camera numbered and never sent", ["camera"]
)
SOUND_DROPPED = Counter("vigil_edge_sound_dropped", "Sound packets without usable time", ["camera"])
GIVEN_UP = Counter("vigil_edge_given_up", "Fragments that nobody will send", ["camera", "why"])
MESSAGES_DROPPED = Counter(
    "vigil_edge_messages_dropped", "Messages given up: of a full outbox, or refused by the queue"
)
SPOOL_BYTES = Gauge("vigil_edge_spool_bytes", "Bytes of fragments on the disk")
MENDING = Gauge(
    "vigil_edge_mending", "1 while what was in the spool at the start is still looked at"
)
SPOOL_WAITING = Gauge("vigil_edge_spool_waiting", "Fragments not yet in S3")
UNNOTICED = Gauge("vigil_edge_unnoticed", "Fragments in S3 of which the queue was not told yet")
HELD = Gauge("vigil_edge_held", "Fragments that wait for this device's clock to be set")
CLOCK_SYNCHRONISED = Gauge(
    "vigil_edge_clock_synchronised",
    "1 while this device's clock is kept (by NTP), 0 while nobody keeps it; NaN: unknown",
)
CLOCK_ERROR = Gauge(
    "vigil_edge_clock_error_seconds",
    "The most that the clock is wrong by while it is kept, seconds; NaN: unknown",
)
SPOOL_OLDEST = Gauge(
    "vigil_edge_spool_oldest_seconds", "Age of the oldest fragment not in S3, seconds"
)
OUTBOX = Gauge("vigil_edge_outbox_messages", "Messages waiting for the queue")
DISK_FREE = Gauge("vigil_edge_disk_free_bytes", "Free bytes of the spool's disk")
LINK_UP = Gauge("vigil_edge_link_up", "1 while the last request succeeded", ["to"])
UPLOADS = Counter("vigil_edge_uploads", "Fragments put into S3", ["camera"])
UPLOAD_BYTES = Counter("vigil_edge_upload_bytes", "Bytes put into S3")
UPLOAD_SECONDS = Histogram("vigil_edge_upload_seconds", "Duration of a PUT that succeeded, seconds")
FAILURES = Counter("vigil_edge_link_failures", "Requests that failed", ["to"])
UPLOADS_AT_ONCE = Gauge("vigil_edge_uploads_at_once", "Fragments uploaded at once, as it adapts")
IN_SPOOL_SECONDS = Histogram(
    "vigil_edge_in_spool_seconds",
    "Time that fragments spent in the spool, from closed to uploaded, seconds",
    buckets=(1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800),
)
DISK_GOOD = Gauge("vigil_edge_disk_good", "1 while the spool's disk is as it should be")
FLOOR = Gauge("vigil_edge_free_floor_bytes", "Bytes of the disk that are kept free")
RATE = Gauge("vigil_edge_hour_bytes", "Bytes that all cameras bring in an hour, as measured")
UPLOAD_LIMIT = Gauge(
    "vigil_edge_upload_limit_kbit", "Cap on uploads now, 1,000 bits a second; 0: none"
)
CONFIG_VERSION = Gauge(
    "vigil_edge_config_version", "Version of the site's configuration in force; 0: the own file"
)
LOOKED_AT = Gauge(
    "vigil_edge_looked_at",
    "1 for that stream of the camera which local inference looks at now",
    ["camera", "stream"],
)


def look_at(camera: str, stream: Literal["main", "sub"] | None) -> None:
    """Say which stream of a camera is looked at; None: neither is."""
    for name in ("main", "sub"):
        if stream is not None:
            LOOKED_AT.labels(camera, name).set(name == stream)
        else:
            with contextlib.suppress(KeyError):
                LOOKED_AT.remove(camera, name)
