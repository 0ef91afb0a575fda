"""A camera's state by the age of its newest footage, and the limits of every room that judges it.

    age of the newest footage   0 s        15 s        2 min          5 min
    state                       recording  | late       | offline ...
    alert VigilCameraSilent                                           | fires

The web API reports the state and sends the limits to the dashboard. Prometheus cannot import
them: ops/prometheus/alerts.yaml repeats those of `AlertLimits`, and a test compares the two.
"""

from dataclasses import dataclass
from typing import Final, Literal

CameraState = Literal["new", "recording", "late", "offline"]
"""new: registered, without any footage yet."""


@dataclass(frozen=True, slots=True)
class StateLimits:
    """From which age on the dashboard calls something late, silent or full."""

    recording_ms: int = 15_000
    """Newest footage of at most this age: the camera is recording, ms."""
    late_ms: int = 120_000
    """Newest footage of at most this age: late; older: offline, ms. Footage that waits longer on
    the edge device counts as late too."""
    edge_silent_ms: int = 90_000
    """An edge device without a heartbeat for longer than this is silent, ms."""
    disk_low_bytes: int = 1 << 30
    """An edge device with less free space than this has a nearly full disk."""


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """From which age on a person is called. Never earlier than the dashboard shows the state."""

    camera_silent_ms: int = 300_000
    """VigilCameraSilent: age of a camera's newest footage, ms."""
    edge_silent_ms: int = 180_000
    """VigilEdgeSilent: age of an edge device's newest heartbeat, ms."""
    spool_waiting_ms: int = 900_000
    """VigilSpoolAgeing: age of the oldest footage that waits on an edge device, ms."""
    disk_low_bytes: int = 1 << 30
    """VigilEdgeDiskFilling: free space on the spool's disk."""
    out_of_use_ms: int = 6 * 3_600_000
    """VigilCameraSilent, VigilEdgeSilent: what has been silent for longer calls no one."""


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What counts as good in the service levels (ops/slo/vigil.yaml)."""

    camera_sending_ms: int = 60_000
    """Newest footage of at most this age: the camera's footage arrives, ms."""
    edge_online_ms: int = 180_000
    """Newest heartbeat of at most this age: the edge device is online, ms."""
    backlog_ms: int = 60_000
    """What comes to Kafka later than this waited at its site. Latencies do not count it, because
    it is missed by `camera_sending_ms` already."""


STATE_LIMITS: Final = StateLimits()
SERVICE_LIMITS: Final = ServiceLimits()
ALERT_LIMITS: Final = AlertLimits()


def camera_state(
    *,
    now_ms: int,
    created_ms: int,
    last_ms: int | None,
    run_started_ms: int | None,
    limits: StateLimits = STATE_LIMITS,
) -> tuple[CameraState, int]:
    """Return a camera's state, and since when it is in this state (UTC ms).

    `created_ms` is when the camera was registered. `last_ms` is the end of its newest footage,
    and `run_started_ms` the start of that footage's run. Footage from the future (the edge's clock
    is ahead) counts as recording.
    """
    if last_ms is None:
        return "new", created_ms
    age_ms = now_ms - last_ms
    if age_ms <= limits.recording_ms:
        return "recording", last_ms if run_started_ms is None else min(run_started_ms, last_ms)
    return ("late" if age_ms <= limits.late_ms else "offline"), last_ms
