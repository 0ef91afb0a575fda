"""How often to look: sampling by the pictures' own time, and slowing down when behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.inference.pace import Pace, Sampler

SECOND = 90_000


@pytest.mark.parametrize(
    ("fps", "rate", "expected"),
    [
        (25, 5, [0, 5, 10, 15, 20, 25]),
        (10, 5, [0, 2, 4, 6]),
        (30, 2, [0, 15, 30, 45]),
        (10, 60, [0, 1, 2, 3]),
        (1, 5, [0, 1, 2]),
    ],
)
def test_pictures_are_sampled_evenly(fps: int, rate: float, expected: list[int]) -> None:
    sampler = Sampler()
    chosen = [i for i in range(50) if sampler.wants(i * SECOND // fps, rate)]
    assert chosen[: len(expected)] == expected


@given(st.floats(0.5, 10), st.floats(11, 60), st.integers(0, 1 << 40))
def test_the_rate_is_kept_over_time(rate: float, fps: float, start: int) -> None:
    sampler = Sampler()
    wanted = sum(
        sampler.wants(start + round(i * SECOND / fps), rate) for i in range(round(60 * fps))
    )
    assert wanted == pytest.approx(60 * rate, rel=0.05, abs=2)


def test_a_jump_in_time_starts_anew() -> None:
    sampler = Sampler()
    assert sampler.wants(10 * SECOND, 1)
    assert not sampler.wants(10 * SECOND + 100, 1)
    assert sampler.wants(5 * SECOND, 1)  # backwards
    assert not sampler.wants(5 * SECOND + 100, 1)
    assert sampler.wants(500 * SECOND, 1)  # far ahead
    assert not sampler.wants(500 * SECOND + 100, 1)


def test_a_raised_rate_counts_at_once() -> None:
    sampler = Sampler()
    assert sampler.wants(0, 0.1)
    assert not sampler.wants(SECOND // 4, 2)
    assert sampler.wants(SECOND, 2)


def test_slow_goes_down_quickly_and_up_again_slowly() -> None:
    pace = Pace(5)
    for second in range(10):
        pace.observe(1.5, second)
    low = pace.rate_fps
    assert 0.1 <= low < 0.5
    pace.observe(0.5, 11)  # neither slow nor fine: stays
    assert pace.rate_fps == low
    rates = []
    for second in range(12, 200):
        pace.observe(0.05, second)
        rates.append(pace.rate_fps)
    assert rates == sorted(rates)
    assert rates[1] < 2 * low
    assert rates[-1] == 5


def test_far_behind_nothing_is_looked_at_until_caught_up() -> None:
    pace = Pace(5)
    pace.observe(2.5, 0)
    assert pace.behind
    pace.observe(0.1, 1)
    assert not pace.behind


def test_it_never_stops_altogether() -> None:
    pace = Pace(5)
    for second in range(1_000):
        pace.observe(100, second)
    assert pace.rate_fps == pytest.approx(0.1)
