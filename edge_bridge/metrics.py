"""Prometheus metrics of the edge. Their names and labels are a public contract."""

import contextlib
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

RECORDING = Gauge("vigil_edge_recording", "1 while the camera is recorded", ["camera"])
NATIVE = Gauge(
    "vigil_edge_native", "1 if recording uses the extension in Rust, 0 if its Python path"
)
FRAMES = Counter("vigil_edge_frames", "Frames recorded", ["camera"])
FRAGMENTS = Counter("vigil_edge_fragments", "Fragments closed", ["camera"])
FRAGMENT_BYTES = Counter("vigil_edge_fragment_bytes", "Bytes of closed fragments", ["camera"])
NEWEST = Gauge(
    "vigil_edge_newest_fragment_seconds", "End of the newest fragment, UTC seconds", ["camera"]
)
RUNS_ENDED = Counter("vigil_edge_runs_ended", "Runs that ended", ["camera"])
PACKETS_LOST = Counter(
    "vigil_edge_packets_lost", "RTP packets missing in the sequence numbers of a camera", ["camera"]
)
UNITS_DROPPED = Counter(
    "vigil_edge_units_dropped", "NAL units left out because a packet of them was lost", ["camera"]
)
AUDIO_DROPPED = Counter(
    "vigil_edge_sound_dropped", "Audio packets without a usable time stamp", ["camera"]
)
GIVEN_UP = Counter(
    "vigil_edge_given_up",
    "Fragments that were given up: they are never uploaded",
    ["camera", "why"],
)
MESSAGES_DROPPED = Counter(
    "vigil_edge_messages_dropped",
    "Messages given up: the outbox was full, or the queue rejected them",
)
SPOOL_BYTES = Gauge("vigil_edge_spool_bytes", "Bytes of fragments on the disk")
RECOVERING = Gauge(
    "vigil_edge_mending", "1 while the recovery of the spool after a start is in progress"
)
SPOOL_WAITING = Gauge("vigil_edge_spool_waiting", "Fragments not yet in S3")
UNNOTICED = Gauge("vigil_edge_unnoticed", "Fragments in S3 whose notice is not sent yet")
UNDATED = Gauge("vigil_edge_held", "Fragments that wait until this device's clock is set")
CLOCK_SYNCHRONISED = Gauge(
    "vigil_edge_clock_synchronised",
    "1 while this device's clock is synchronised (NTP), 0 while it is not; NaN: unknown",
)
CLOCK_ERROR = Gauge(
    "vigil_edge_clock_error_seconds",
    "Maximum error of the clock while it is synchronised, seconds; NaN: unknown",
)
SPOOL_OLDEST = Gauge(
    "vigil_edge_spool_oldest_seconds", "Age of the oldest fragment not in S3, seconds"
)
OUTBOX = Gauge("vigil_edge_outbox_messages", "Messages waiting for the queue")
DISK_FREE = Gauge("vigil_edge_disk_free_bytes", "Free bytes of the spool's disk")
LINK_UP = Gauge("vigil_edge_link_up", "1 while the last request succeeded", ["to"])
IDENTITY = Gauge(
    "vigil_edge_identity",
    "1 at the state of the device's identity: none, enrolled, locked, revoked, expired, damaged",
    ["state"],
)
IDENTITY_EXPIRES = Gauge(
    "vigil_edge_certificate_expiry_seconds",
    "When the device's certificate ends, Unix seconds; 0: without identity",
)
UPLOADS = Counter("vigil_edge_uploads", "Fragments put into S3", ["camera"])
UPLOAD_BYTES = Counter("vigil_edge_upload_bytes", "Bytes put into S3")
UPLOAD_SECONDS = Histogram("vigil_edge_upload_seconds", "Duration of a PUT that succeeded, seconds")
LIVE_FEEDS = Gauge("vigil_edge_live_feeds", "Feeds of cameras that somebody watches now")
LIVE_BYTES = Counter("vigil_edge_live_bytes", "Bytes of live pictures sent to the cloud")
LIVE_DROPPED = Counter(
    "vigil_edge_live_dropped_gops",
    "Groups of live pictures that were not sent: the line to the cloud is too thin for them",
    ["camera"],
)
FAILURES = Counter("vigil_edge_link_failures", "Requests that failed", ["to"])
UPLOADS_AT_ONCE = Gauge("vigil_edge_uploads_at_once", "Fragments uploaded at once, as it adapts")
IN_SPOOL_SECONDS = Histogram(
    "vigil_edge_in_spool_seconds",
    "Time that fragments spent in the spool, from closed to uploaded, seconds",
    buckets=(1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800),
)
DISK_GOOD = Gauge("vigil_edge_disk_good", "1 while the spool's disk has no problem")
MIN_FREE = Gauge("vigil_edge_free_floor_bytes", "Bytes of the disk that are kept free")
RATE = Gauge("vigil_edge_hour_bytes", "Bytes that all cameras record in an hour, as measured")
UPLOAD_LIMIT = Gauge(
    "vigil_edge_upload_limit_kbit", "Bandwidth limit of uploads now, 1,000 bits a second; 0: none"
)
CONFIG_VERSION = Gauge(
    "vigil_edge_config_version",
    "Version of the site's configuration in force; 0: the device's own file",
)
ANALYSED_STREAM = Gauge(
    "vigil_edge_looked_at",
    "1 for the stream of the camera that local inference analyses now",
    ["camera", "stream"],
)


def set_analysed_stream(camera: str, stream: Literal["main", "sub"] | None) -> None:
    """Record which stream of a camera is analysed; None: neither."""
    for name in ("main", "sub"):
        if stream is not None:
            ANALYSED_STREAM.labels(camera, name).set(name == stream)
        else:
            with contextlib.suppress(KeyError):
                ANALYSED_STREAM.remove(camera, name)
