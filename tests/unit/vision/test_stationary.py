"""An object that does not move is reported once, then rarely."""

import pytest

from vision.detector import Box
from vision.stationary import StationaryFilter, iou
from vision.tracking import MAX_TRACKS, TrackedBox

PARKED: Box = (0.4, 0.4, 0.2, 0.1)


def reported(stationary: StationaryFilter, box_at: dict[int, Box], name: str = "a") -> list[int]:
    """Return the seconds whose box is reported."""
    return [
        s for s, box in box_at.items() if stationary.should_report(TrackedBox(name, box), s * 1_000)
    ]


def test_a_parked_car_is_reported_rarely_and_again_at_once_when_it_leaves() -> None:
    """
    seconds  0 ........ 5      15      25   30 31 ...
             all of them  │ once in 10  │   drives off: all again
    """
    boxes = dict.fromkeys(range(31), PARKED)
    boxes |= {s: (0.4 + 0.1 * (s - 30), 0.4, 0.2, 0.1) for s in range(31, 35)}
    got = reported(StationaryFilter(after_ms=5_000, every_ms=10_000), boxes)
    assert got == [0, 1, 2, 3, 4, 5, 15, 25, 31, 32, 33, 34]


def test_zero_reports_it_never_again() -> None:
    boxes = dict.fromkeys(range(100), PARKED)
    assert reported(StationaryFilter(after_ms=3_000, every_ms=0), boxes) == [0, 1, 2, 3]


def test_a_box_that_jitters_is_at_rest_and_one_that_creeps_is_not() -> None:
    jitter = {s: (0.4 + 0.01 * (s % 2), 0.4, 0.2, 0.1) for s in range(30)}
    assert reported(StationaryFilter(after_ms=5_000, every_ms=0), jitter) == list(range(6))
    creep = {s: (0.01 * s, 0.4, 0.2, 0.1) for s in range(60)}
    # It leaves its place every few seconds, so it is never at rest for long.
    assert reported(StationaryFilter(after_ms=10_000, every_ms=0), creep) == list(range(60))


def test_each_track_rests_on_its_own_and_memory_is_bounded() -> None:
    stationary = StationaryFilter(after_ms=0, every_ms=0)
    for number in range(3 * MAX_TRACKS):
        assert stationary.should_report(TrackedBox(str(number), PARKED), 0)
    assert len(stationary._resting) == 2 * MAX_TRACKS
    assert not stationary.should_report(TrackedBox(str(3 * MAX_TRACKS - 1), PARKED), 1)
    assert stationary.should_report(TrackedBox("0", PARKED), 1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 1, 1), (0, 0, 1, 1), 1),
        ((0, 0, 1, 1), (0.5, 0, 1, 1), 1 / 3),
        ((0, 0, 1, 1), (2, 2, 1, 1), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
    ],
)
def test_iou(one: Box, other: Box, expected: float) -> None:
    assert iou(one, other) == pytest.approx(expected)
