"""Which model's detections are shown: the choosing rule, drawn and against plain sets."""

import random

import pytest

from domain.errors import ConfigError
from domain.models import MINUTE_MS, ReplayedModel, check_version, shown_models, whole_minutes
from domain.spans import FOREVER_MS, Spans

V1, V2, V3, V4 = (("people", str(number)) for number in range(1, 5))


def replay(
    version, from_ms: int, to_ms: int, current: int | None = None, *covered
) -> ReplayedModel:
    return ReplayedModel(version, from_ms, to_ms, Spans(covered or [(from_ms, to_ms)]), current)


def drawn(replays, version, until: int = 10) -> str:
    """Draw when a version is shown, a character a moment."""
    rule = shown_models(replays)
    return "".join("#" if rule.shows(version, at) else "." for at in range(until))


CASES = [
    # replays, then when V1 (live), V2 and V3 are shown
    ([], "##########", "##########", "##########"),
    # done, not current: hidden in the time it was given; a live V2 before or after is live
    ([replay(V2, 2, 5)], "##########", "##...#####", "##########"),
    # current: takes the place of all others in what it covered
    ([replay(V2, 2, 5, 1)], "##...#####", "##########", "##...#####"),
    # it did not cover all: there the live ones go on, and of it nothing is shown
    ([replay(V2, 2, 8, 1, (2, 4), (6, 8))], "##..##..##", "####..####", "##..##..##"),
    # the later counts
    ([replay(V2, 2, 6, 1), replay(V3, 4, 8, 2)], "##......##", "####....##", "##..######"),
    ([replay(V2, 2, 6, 2), replay(V3, 4, 8, 1)], "##......##", "######..##", "##....####"),
    # two replays of one version, one of them current
    ([replay(V2, 0, 3, 1), replay(V2, 5, 8)], "...#######", "#####...##", "...#######"),
]


@pytest.mark.parametrize(("replays", "first", "second", "third"), CASES)
def test_what_is_shown(replays, first: str, second: str, third: str) -> None:
    assert [drawn(replays, each) for each in (V1, V2, V3)] == [first, second, third]


def test_at_each_moment_one_replay_or_the_live_ones() -> None:
    seed = 1795
    print("seed", seed)
    draw = random.Random(seed)
    for _ in range(300):
        replays = []
        for turn in draw.sample(range(9), draw.randint(0, 5)):
            from_ms = draw.randint(0, 25)
            to_ms = from_ms + draw.randint(1, 10)
            at = sorted(draw.sample(range(from_ms, to_ms + 1), 2))
            current = draw.choice([None, turn])
            replays.append(
                replay(draw.choice([V2, V3, V4]), from_ms, to_ms, current, (at[0], at[1]))
            )
        rule = shown_models(replays)
        for at_ms in range(40):
            over = [r for r in replays if r.current is not None and at_ms in r.covered]
            if over:
                winner = max(over, key=lambda r: r.current).version
                expected = {winner}
            else:
                expected = {V1, V2, V3, V4} - {
                    r.version for r in replays if r.from_ms <= at_ms < r.to_ms
                }
            assert {v for v in (V1, V2, V3, V4) if rule.shows(v, at_ms)} == expected, (
                at_ms,
                replays,
            )


def test_minutes_that_are_cut() -> None:
    at = 10 * MINUTE_MS
    rule = shown_models([replay(V2, at, at + 5 * MINUTE_MS, 1, (at + 10, at + 2 * MINUTE_MS))])
    assert rule.changing_minutes(0, FOREVER_MS) == [at]
    assert rule.changing_minutes(at + MINUTE_MS, FOREVER_MS) == []
    assert rule.changing_minutes(at + 59_999, FOREVER_MS) == [at], "a minute counts whole"


@pytest.mark.parametrize(
    ("left", "right", "union", "difference", "common"),
    [
        ([(0, 5)], [(5, 9)], [(0, 9)], [(0, 5)], []),
        ([(0, 9)], [(2, 3), (5, 6)], [(0, 9)], [(0, 2), (3, 5), (6, 9)], [(2, 3), (5, 6)]),
        ([(2, 3), (5, 6)], [(0, 9)], [(0, 9)], [], [(2, 3), (5, 6)]),
        ([(0, 3), (4, 8)], [(2, 5), (7, 9)], [(0, 9)], [(0, 2), (5, 7)], [(2, 3), (4, 5), (7, 8)]),
        ([], [(1, 2)], [(1, 2)], [], []),
        ([(3, 3)], [], [], [], []),
    ],
)
def test_spans(left, right, union, difference, common) -> None:
    a, b = Spans(left), Spans(right)
    assert (a | b, a - b, a & b) == (Spans(union), Spans(difference), Spans(common))


def test_spans_against_plain_sets() -> None:
    seed = 7
    print("seed", seed)
    draw = random.Random(seed)

    def some() -> Spans:
        spans = [(at, at + draw.randint(0, 6)) for at in draw.choices(range(30), k=4)]
        return Spans(spans)

    def moments(spans: Spans) -> set[int]:
        return {at for at in range(40) if at in spans}

    for _ in range(300):
        a, b = some(), some()
        for made, plain in (
            (a | b, moments(a) | moments(b)),
            (a - b, moments(a) - moments(b)),
            (a & b, moments(a) & moments(b)),
        ):
            assert moments(made) == plain, (a, b)
            assert made.length_ms == len(plain)
            assert all(x[1] < y[0] for x, y in zip(made.spans, made.spans[1:], strict=False))
    assert Spans([(0, 5), (7, 9)], tolerance_ms=2) == Spans([(0, 9)])


def test_names_and_minutes() -> None:
    assert check_version("hog-people", "2026.11_b") == ("hog-people", "2026.11_b")
    for model, version in (("Hog", "1"), ("hog", ""), ("hog", "-1"), ("a" * 101, "1")):
        with pytest.raises(ConfigError, match="lower-case"):
            check_version(model, version)
    assert whole_minutes(60_001, 119_999) == (60_000, 120_000)
    assert whole_minutes(60_000, 120_000) == (60_000, 120_000)
