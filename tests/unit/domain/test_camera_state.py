"""A camera's state by the age of its newest footage: the table of cases."""

import pytest

from domain.camera_state import ALERT_LIMITS, STATE_LIMITS, CameraState, StateLimits, camera_state

NOW_MS = 1_800_000_000_000
CREATED_MS = NOW_MS - 86_400_000
RUN_MS = NOW_MS - 3_600_000


@pytest.mark.parametrize(
    ("age_ms", "run_started_ms", "state", "since_ms"),
    [
        (None, None, "new", CREATED_MS),
        (0, RUN_MS, "recording", RUN_MS),
        (15_000, RUN_MS, "recording", RUN_MS),
        (15_001, RUN_MS, "late", NOW_MS - 15_001),
        (120_000, RUN_MS, "late", NOW_MS - 120_000),
        (120_001, RUN_MS, "offline", NOW_MS - 120_001),
        (86_000_000, RUN_MS, "offline", NOW_MS - 86_000_000),
        (-5_000, RUN_MS, "recording", RUN_MS),
        (1_000, None, "recording", NOW_MS - 1_000),
        (1_000, NOW_MS, "recording", NOW_MS - 1_000),
    ],
    ids=[
        "no footage yet",
        "newest footage ends now",
        "at the first limit",
        "just above it",
        "at the second limit",
        "just above that",
        "since yesterday",
        "footage of the near future",
        "the run's start is unknown",
        "the run starts after its newest footage",
    ],
)
def test_state(
    age_ms: int | None, run_started_ms: int | None, state: CameraState, since_ms: int
) -> None:
    last_ms = None if age_ms is None else NOW_MS - age_ms
    assert camera_state(
        now_ms=NOW_MS, created_ms=CREATED_MS, last_ms=last_ms, run_started_ms=run_started_ms
    ) == (state, since_ms)


def test_limits_can_be_others() -> None:
    state, _ = camera_state(
        now_ms=NOW_MS,
        created_ms=CREATED_MS,
        last_ms=NOW_MS - 20_000,
        run_started_ms=RUN_MS,
        limits=StateLimits(recording_ms=60_000),
    )
    assert state == "recording"


def test_no_alert_comes_before_the_dashboard_shows_the_state() -> None:
    assert STATE_LIMITS.recording_ms < STATE_LIMITS.late_ms <= ALERT_LIMITS.camera_silent_ms
    assert STATE_LIMITS.late_ms <= ALERT_LIMITS.spool_waiting_ms
    assert STATE_LIMITS.edge_silent_ms <= ALERT_LIMITS.edge_silent_ms
    assert ALERT_LIMITS.disk_low_bytes <= STATE_LIMITS.disk_low_bytes
