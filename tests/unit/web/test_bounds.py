"""What one principal may use; another one is not touched by it."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.token_bucket import full_bucket
from streams.settings import Settings
from web.bounds import (
    MAX_OWED_S,
    MEDIA_BURST_S,
    REFUSAL_DELAY_S,
    REQUEST_BURST_S,
    PrincipalBounds,
)
from web.problems import ProblemError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def bounds(clock: Clock, **settings: int) -> PrincipalBounds:
    return PrincipalBounds(Settings().model_copy(update=settings), clock)


def admitted(made: PrincipalBounds, principal: str, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            made.admit(principal)
        except ProblemError as problem:
            assert problem.status == 429
            assert int(problem.headers["Retry-After"]) >= 1
        else:
            count += 1
    return count


def test_requests_are_bounded_for_each_principal() -> None:
    clock = Clock()
    made = bounds(clock, requests_per_s=10)
    assert admitted(made, "key:1", 1_000) == 10 * REQUEST_BURST_S
    assert admitted(made, "key:2", 1_000) == 10 * REQUEST_BURST_S
    clock.now_s = 3.0
    assert admitted(made, "key:1", 1_000) == 30
    clock.now_s = 0.0  # a clock that goes back gives nothing
    assert admitted(made, "key:1", 1_000) == 0
    assert admitted(bounds(clock, requests_per_s=0), "key:1", 5_000) == 5_000


async def test_a_refusal_waits_and_an_admitted_request_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("web.bounds.asyncio.sleep", sleep)
    made = bounds(Clock(), requests_per_s=1)
    for _ in range(REQUEST_BURST_S):
        await made.admit_slowly("key:1")
    assert waits == []
    with pytest.raises(ProblemError):
        await made.admit_slowly("key:1")
    assert waits == [REFUSAL_DELAY_S]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(1, 50)), max_size=50))
def test_no_more_than_rate_and_burst_is_given(steps: list[tuple[float, int]]) -> None:
    bucket = full_bucket(5.0, 20.0, 0.0)
    now_s, taken = 0.0, 0
    for passed_s, amount in steps:
        now_s += passed_s
        wait_s = bucket.wait_s(amount, now_s)
        if not wait_s:
            taken += amount
        else:  # it says how long to wait
            later = full_bucket(bucket.rate, bucket.capacity, now_s)
            later.tokens = bucket.tokens
            if amount <= bucket.capacity:
                assert later.wait_s(amount, now_s + wait_s + 1e-6) == 0
        assert taken <= 20 + 5 * now_s + 1e-6


async def _media(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("web.bounds.asyncio.sleep", sleep)
    made = bounds(clock, media_bytes_per_s=1_000)
    await made.pace("key:1", 1_000 * MEDIA_BURST_S)
    assert slept == [], "the burst"
    await made.pace("key:1", 500)
    assert slept == [0.5]
    made.admit_media("key:1")
    for _ in range(20):  # parallel responses owe together
        await made.pace("key:1", 500)
    with pytest.raises(ProblemError) as refused:
        made.admit_media("key:1")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "6")
    made.admit_media("key:2")
    clock.now_s += 10.5 - MAX_OWED_S
    made.admit_media("key:1")


def test_media_is_paced_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_media(Clock(), monkeypatch))
