"""Back-off: bounds that grow up to a limit, and the jitter's range.

attempt    0      1      2      3      4      5
bound      1 s    2 s    4 s    8 s    16 s   30 s (limit)
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.backoff import CENTRED_JITTER, EQUAL_JITTER, FULL_JITTER, NO_JITTER, Backoff


@pytest.mark.parametrize(
    ("backoff", "bounds"),
    [
        (Backoff(1, 30), [1, 2, 4, 8, 16, 30, 30]),
        (Backoff(0.5, 30), [0.5, 1, 2, 4, 8, 16, 30]),
        (Backoff(1, 300, factor=4), [1, 4, 16, 64, 256, 300, 300]),
        (Backoff(5, 30, factor=1), [5, 5, 5, 5, 5, 5, 5]),
        (Backoff(60, 30), [30, 30, 30, 30, 30, 30, 30]),
        (Backoff(0, 0), [0, 0, 0, 0, 0, 0, 0]),
    ],
    ids=["doubles", "half a second", "times four", "constant", "limit below the first", "none"],
)
def test_bounds_grow_up_to_the_limit(backoff: Backoff, bounds: list[float]) -> None:
    assert [backoff.bound_s(attempt) for attempt in range(7)] == bounds


@pytest.mark.parametrize(
    ("jitter", "shortest", "middle", "longest"),
    [
        (NO_JITTER, 8, 8, 8),
        (EQUAL_JITTER, 4, 6, 8),
        (FULL_JITTER, 0, 4, 8),
        (CENTRED_JITTER, 4, 8, 12),
    ],
    ids=["none", "equal", "full", "centred"],
)
def test_jitter_takes_its_share_of_the_bound(
    jitter: tuple[float, float], shortest: float, middle: float, longest: float
) -> None:
    backoff = Backoff(1, 30, jitter=jitter)
    assert [backoff.delay_s(3, chance) for chance in (0, 0.5, 1)] == [shortest, middle, longest]


def test_a_count_below_zero_is_a_first_failure() -> None:
    assert Backoff(1, 30).delay_s(-1, 0.5) == 1


def test_any_number_of_failures_can_be_counted() -> None:
    assert Backoff(1, 30, factor=4).delay_s(10**9, 1) == 30


@given(
    attempt=st.integers(0, 10_000),
    chance=st.floats(0, 1),
    first_s=st.floats(0.01, 60),
    longest_s=st.floats(60, 3_600),
    jitter=st.sampled_from([NO_JITTER, EQUAL_JITTER, FULL_JITTER, CENTRED_JITTER]),
)
def test_a_delay_stays_within_the_jitter_of_its_bound(
    attempt: int, chance: float, first_s: float, longest_s: float, jitter: tuple[float, float]
) -> None:
    backoff = Backoff(first_s, longest_s, jitter=jitter)
    bound_s = backoff.bound_s(attempt)
    delay_s = backoff.delay_s(attempt, chance)
    assert bound_s <= backoff.bound_s(attempt + 1) <= longest_s
    assert jitter[0] * bound_s <= delay_s <= jitter[1] * bound_s * (1 + 1e-9)
