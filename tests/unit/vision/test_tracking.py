"""Tracks: one object keeps its name; two objects never share one."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vision.detector import Box, DetectedObject
from vision.kalman import BoxFilters, buffered_iou
from vision.tracking import MAX_TRACKS, TrackedBox, Tracker

ASPECT = 16 / 9


def person(
    x: float, y: float = 0.5, *, score: float = 0.9, label: str = "person"
) -> DetectedObject:
    """A person a fifth of the picture high, whose middle is at `x` heights, `y` heights."""
    w, h = 0.08, 0.2
    return DetectedObject(label, score, ((x - w / 2) / ASPECT, y - h / 2, w / ASPECT, h))


def names(tracked: Sequence[TrackedBox | None]) -> list[str | None]:
    return [None if one is None else one.track for one in tracked]


def follow(
    tracker: Tracker, scene: Callable[[float], list[DetectedObject]], times_ms: Sequence[int]
) -> list[list[str | None]]:
    """Return the names of each picture's boxes; `scene` takes seconds."""
    return [
        names(tracker.update(scene(at / 1000), pts=at * 90, at_ms=1_000_000 + at, aspect=ASPECT))
        for at in times_ms
    ]


# A person walks 0.8 of their height (0.16 of the picture's) a second.
@pytest.mark.parametrize("every_ms", [40, 200, 500, 1_000])
def test_a_walker_keeps_the_name_at_any_sampling_rate(every_ms: int) -> None:
    got = follow(Tracker(), lambda s: [person(0.1 + 0.16 * s)], range(0, 8_000, every_ms))
    assert {name for [name] in got} == {"0-0"}


def test_pictures_at_irregular_times_do_not_break_a_track() -> None:
    rng = np.random.default_rng(7)
    times = np.cumsum(rng.integers(40, 900, 30))
    got = follow(Tracker(), lambda s: [person(0.1 + 0.16 * s / 2)], [int(at) for at in times])
    assert len({name for [name] in got}) == 1


def test_two_who_cross_keep_their_names() -> None:
    """
    a ─────►╲ ╱
             ╳      both are detected all the time, in any order
    b ◄─────╱ ╲
    """

    def scene(s: float) -> list[DetectedObject]:
        both = [person(0.2 + 0.2 * s, 0.45), person(1.4 - 0.2 * s, 0.55)]
        return both if round(s * 5) % 2 else both[::-1]

    times = range(0, 6_000, 200)
    got = follow(Tracker(), scene, times)
    walkers = [
        pair if round(at / 200) % 2 else pair[::-1] for at, pair in zip(times, got, strict=True)
    ]
    assert {a for a, _ in walkers} != {b for _, b in walkers}
    assert len({a for a, _ in walkers}) == len({b for _, b in walkers}) == 1


def test_a_person_hidden_for_a_while_keeps_the_name() -> None:
    def scene(s: float) -> list[DetectedObject]:
        return [] if 2 <= s < 4 else [person(0.1 + 0.16 * s)]

    got = follow(Tracker(lost_ms=3_000), scene, range(0, 6_000, 200))
    assert {name for several in got for name in several} == {"0-0"}


def test_a_person_away_too_long_gets_a_new_name() -> None:
    def scene(s: float) -> list[DetectedObject]:
        return [] if 2 <= s < 6 else [person(0.5)]

    got = follow(Tracker(lost_ms=3_000), scene, range(0, 8_000, 200))
    assert [name for [name] in got[:10]] == ["0-0"] * 10
    assert {name for [name] in got[30:]} == {f"{6_000 * 90:x}-0"}


def test_rare_pictures_do_not_lose_what_does_not_move() -> None:
    """Without motion a camera is analysed only every few seconds."""
    got = follow(
        Tracker(lost_ms=3_000), lambda _: [person(0.5), person(0.62)], range(0, 60_000, 5_000)
    )
    assert {tuple(several) for several in got} == {("0-0", "0-1")}
    tracker = Tracker(lost_ms=3_000)
    assert follow(tracker, lambda _: [person(0.5)], [0]) != follow(
        tracker, lambda _: [person(0.5)], [3_600_000]
    )


def test_low_score_boxes_continue_a_track_but_start_none() -> None:
    scores = [0.9, 0.9, 0.3, 0.3, 0.9]
    tracker = Tracker(high_score=0.5)
    got = [
        names(tracker.update([person(0.5, score=score)], pts=n, at_ms=n * 200, aspect=ASPECT))
        for n, score in enumerate(scores)
    ]
    assert got == [["0-0"]] * 5
    alone = Tracker(high_score=0.5)
    assert names(alone.update([person(0.5, score=0.3)], pts=0, at_ms=0, aspect=1)) == [None]


def test_a_car_never_takes_the_name_of_a_person() -> None:
    tracker = Tracker()
    first = tracker.update([person(0.5)], pts=1, at_ms=0, aspect=ASPECT)
    second = tracker.update([person(0.5, label="car")], pts=2, at_ms=200, aspect=ASPECT)
    assert names(first) != names(second)


def test_names_differ_when_a_worker_starts_in_the_middle_of_a_run() -> None:
    before = follow(Tracker(), lambda _: [person(0.2), person(0.8)], range(0, 1_000, 200))
    after = follow(Tracker(), lambda _: [person(0.2), person(0.8)], range(1_000, 2_000, 200))
    assert not {n for several in before for n in several} & {
        n for several in after for n in several
    }


def test_every_box_has_an_answer_and_none_shares_a_name() -> None:
    """Random boxes, labels, scores and times."""
    seed = 20_261_122
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    tracker, at_ms = Tracker(), 0
    for number in range(200):
        at_ms += int(rng.integers(0, 3_000))
        found = []
        for _ in range(int(rng.integers(0, 12))):
            x, y = rng.uniform(0, 0.8, 2)
            w, h = rng.uniform(0, 0.2, 2)
            found.append(
                DetectedObject(str(rng.choice(["a", "b"])), float(rng.uniform()), (x, y, w, h))
            )
        got = tracker.update(found, pts=number, at_ms=at_ms, aspect=1.5)
        known = [one.track for one in got if one is not None]
        assert len(got) == len(found)
        assert len(set(known)) == len(known)
        for one, box in zip(got, found, strict=True):
            assert box.score < 0.5 or one is not None


def test_memory_is_bounded() -> None:
    tracker = Tracker()
    rng = np.random.default_rng(3)
    for number in range(4):
        crowd = [
            DetectedObject("a", 0.9, (float(x), float(y), 0.001, 0.001))
            for x, y in rng.uniform(0, 0.99, (600, 2))
        ]
        tracker.update(crowd, pts=number, at_ms=number, aspect=1)
    assert len(tracker._tracks) == len(tracker._filters) <= MAX_TRACKS + 600


def test_time_that_goes_back_breaks_nothing() -> None:
    got = follow(Tracker(), lambda _: [person(0.5)], [1_000, 900, 1_100])
    assert len({name for [name] in got}) == 1


# --- the parts


def test_a_filter_learns_its_velocity_and_predicts_without_boxes() -> None:
    filters = BoxFilters()
    filters.add(np.array([[0.1, 0.5, 0.08, 0.2]]))
    only = np.array([0])
    for step in range(1, 11):
        filters.predict(0.2)
        filters.update(only, np.array([[0.1 + 0.04 * step, 0.5, 0.08, 0.2]]))
    std_before = filters.position_std[0]
    filters.predict(1.0)
    assert filters.boxes[0] == pytest.approx([0.7, 0.5, 0.08, 0.2], abs=0.02)
    assert filters.position_std[0] > 3 * std_before


def test_buffered_iou() -> None:
    def iou(a: Box, b: Box, buffer: float) -> float:
        return float(buffered_iou(np.array([a]), np.array([b]), np.array([buffer]))[0, 0])

    assert iou((0, 0, 2, 2), (0, 0, 2, 2), 0) == 1
    assert iou((0, 0, 2, 2), (1, 0, 2, 2), 0) == pytest.approx(1 / 3)
    assert iou((0, 0, 2, 2), (2, 0, 2, 2), 0) == 0
    assert iou((0, 0, 2, 2), (2, 0, 2, 2), 1) == pytest.approx(1 / 3)
    assert iou((0, 0, 4, 4), (0, 0, 2, 2), 0) == pytest.approx(1 / 4)
    assert iou((0, 0, 2, 2), (9, 9, 2, 2), 0) == 0
    pairs = itertools.product([0.0, 0.5], [0.0, 0.7, 3.0])
    assert all(iou((0, 0, 1, 2), (x, 0, 1, 2), buffer) <= 1 for buffer, x in pairs)
