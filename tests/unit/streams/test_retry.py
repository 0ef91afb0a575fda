"""Trying again: how long, until when, and that it is seen."""

import asyncio

import pytest

from domain.errors import ObjectMissingError, StoreError
from streams import metrics
from streams.interruption import Interruption
from streams.retry import Interrupted, RetryDelays, retry


def sample(name: str, what: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, {"what": what}) or 0.0


def test_pauses_double_up_to_a_bound_and_are_drawn_from_the_upper_half() -> None:
    longest = [RetryDelays(0.1, 1.0, random=lambda: 1.0).next_s() for _ in range(1)]
    backoff = RetryDelays(0.1, 1.0, random=lambda: 1.0)
    longest = [backoff.next_s() for _ in range(6)]
    assert longest == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    shortest = RetryDelays(0.1, 1.0, random=lambda: 0.0)
    assert [shortest.next_s() for _ in range(5)] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5])
    endless = RetryDelays(tries=10_000)
    assert endless.next_s() <= endless.longest_s


def quick() -> RetryDelays:
    return RetryDelays(first_s=0.0, longest_s=0.0)


async def test_it_goes_on_until_it_works() -> None:
    tries = 0
    errors: list[str] = []

    async def action() -> str:
        nonlocal tries
        tries += 1
        if tries < 40:
            assert sample("vigil_retrying", "test") == (1 if tries > 1 else 0)
            raise StoreError(f"try {tries}")
        return "done"

    before = sample("vigil_retries_total", "test")
    result = await retry(
        action,
        what="test",
        interrupted=Interruption(),
        backoff=quick(),
        on_failure=lambda error, _: errors.append(str(error)),
    )
    assert result == "done" and tries == 40 and errors[0] == "try 1"
    assert sample("vigil_retries_total", "test") == before + 39
    assert sample("vigil_retrying", "test") == 0


async def test_it_gives_back_when_the_partitions_go() -> None:
    interrupted = Interruption()

    async def action() -> None:
        interrupted.set()
        raise StoreError("down")

    with pytest.raises(Interrupted, match="down"):
        await retry(action, what="test", interrupted=interrupted, backoff=RetryDelays(60.0, 60.0))
    assert sample("vigil_retrying", "test") == 0


@pytest.mark.parametrize("error", [ObjectMissingError("no such object"), ValueError("a mistake")])
async def test_what_another_try_does_not_solve_is_raised_at_once(error: Exception) -> None:
    async def action() -> None:
        raise error

    with pytest.raises(type(error)):
        await retry(action, what="test", interrupted=Interruption(), backoff=quick())


async def test_an_action_that_hangs_is_given_up_when_the_partitions_go() -> None:
    interrupted = Interruption(grace_s=0.0)
    began = asyncio.Event()

    async def action() -> None:
        began.set()
        await asyncio.Event().wait()

    insisting = asyncio.create_task(retry(action, what="test", interrupted=interrupted))
    await began.wait()
    interrupted.set()
    with pytest.raises(Interrupted):
        await asyncio.wait_for(insisting, 30)
    with pytest.raises(Interrupted):  # and does not begin while they are away
        await asyncio.wait_for(retry(action, what="test", interrupted=interrupted), 30)


async def test_an_action_that_ends_soon_is_let_end() -> None:
    interrupted = Interruption(grace_s=60.0)
    go_on = asyncio.Event()

    async def action() -> str:
        await go_on.wait()
        return "done"

    insisting = asyncio.create_task(retry(action, what="test", interrupted=interrupted))
    await asyncio.sleep(0)
    interrupted.set()
    go_on.set()
    assert await insisting == "done"
    interrupted.clear()
    assert await retry(action, what="test", interrupted=interrupted) == "done"


async def test_a_time_out_of_the_action_itself_is_its_own() -> None:
    async def action() -> None:
        raise TimeoutError("of S3")

    with pytest.raises(TimeoutError, match="of S3"):
        await retry(action, what="test", interrupted=Interruption())
