"""Coroutines in parallel: all of them end, and the worst failure is raised."""

import asyncio

import pytest

from agents.joining.concurrency import run_all
from domain.errors import InvalidEventError
from streams.retry import Interrupted


async def _fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def test_all_end_before_a_failure_is_raised() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        for _ in range(number):
            await asyncio.sleep(0)
        done.append(number)

    with pytest.raises(Interrupted):
        await run_all([work(5), _fail(Interrupted("given back")), work(20)])
    assert done == [5, 20]


@pytest.mark.parametrize("turned", [False, True])
async def test_what_ends_the_process_goes_before_what_is_given_back(turned: bool) -> None:
    failures = [InvalidEventError("bad"), Interrupted("given back"), ZeroDivisionError()]
    while failures:
        works = [_fail(error) for error in (failures[::-1] if turned else failures)]
        with pytest.raises(type(failures[-1])):
            await run_all(works)
        failures.pop()


async def test_cancelled_it_leaves_nothing_running() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3_600)
        finally:
            ended.append("work")

    waiting = asyncio.create_task(run_all([work(), work()]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["work", "work"]


async def test_nothing_to_do_is_nothing() -> None:
    await run_all([])
