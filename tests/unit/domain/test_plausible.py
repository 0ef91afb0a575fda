"""Times that cannot be are refused, with the camera's name and what to do."""

import pytest

from domain.errors import InvalidEventError
from domain.events import Detection, DetectionFrame, Event, Heartbeat, RunStarted, Tick
from domain.plausible import check_event, check_times, event_fault, event_time_ms
from tests.unit.domain.footage import CAMERA, RUN, T0_MS, fragment, run_ended

YEAR_2200_MS = 7_258_118_400_000


def detection(*at_ms: int) -> Detection:
    frames = [DetectionFrame(pts=0, at_ms=each, objects=[]) for each in at_ms]
    return Detection(camera=CAMERA, run=RUN, model="hog", model_version="1", frames=frames)


def events(at_ms: int) -> list[Event]:
    return [
        fragment(0, start_ms=at_ms),
        run_ended(0, ended_ms=at_ms),
        RunStarted(camera=CAMERA, run=RUN, started_ms=at_ms, edge="e"),
        detection(T0_MS, at_ms),
        Heartbeat(site="acme/berlin", edge="e", sent_ms=at_ms, spool_bytes=0, spool_waiting=0,
                  disk_free_bytes=0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "at_ms", [0, 86_400_000, T0_MS + 300_001, YEAR_2200_MS, (1 << 48) - 100_000]
)
def test_a_time_that_cannot_be_is_refused_by_name(at_ms: int) -> None:
    for event in events(at_ms):
        with pytest.raises(InvalidEventError, match=rf"{at_ms} is .* clock .* {event.key}"):
            check_times(event, T0_MS)


@pytest.mark.parametrize("at_ms", [T0_MS - 86_400_000 * 30, T0_MS, T0_MS + 300_000])
def test_old_footage_and_clocks_that_are_a_little_fast_are_believed(at_ms: int) -> None:
    for event in events(at_ms):
        check_times(event, T0_MS)


def test_an_event_without_a_time_is_not_checked() -> None:
    check_times(Tick(partition=0, at_ms=1), T0_MS)
    assert event_time_ms(Tick(partition=0, at_ms=1)) is None
    assert event_time_ms(detection(T0_MS + 5, T0_MS)) == T0_MS + 5


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"duration_ms": 3_600_000}, "duration_ms"),
        ({"size_bytes": (128 << 20) + 1}, "size_bytes"),
        ({"width": 16_000, "height": 16_000}, "width, height"),
        ({"frames": 100_000}, "frames"),
    ],
)
def test_a_fragment_that_cannot_be_is_refused(changes: dict[str, int], field: str) -> None:
    event = fragment(0, start_ms=T0_MS)
    assert event_fault(event, T0_MS + 4_000) is None
    with pytest.raises(InvalidEventError, match=f"^{field}: .*{event.key}"):
        check_event(event.model_copy(update=changes), T0_MS + 4_000)
