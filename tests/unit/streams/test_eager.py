"""A coroutine's first step is taken at once; the rest goes on as if nothing had happened."""

import asyncio
from typing import Any

import pytest

from streams.delivery.eager import run_eagerly


async def test_what_never_waits_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    assert run_eagerly(work()) == (True, 7)


async def test_what_waits_goes_on_where_it_was() -> None:
    seen: list[Any] = []
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
    queue.put_nowait(1)

    async def work() -> str:
        seen.append("begun")
        await queue.put(2)
        await asyncio.sleep(0)
        seen.append("put")
        return "done"

    at_once, rest = run_eagerly(work())
    assert (at_once, seen) == (False, ["begun"])
    task = asyncio.create_task(rest)
    await asyncio.sleep(0.01)
    assert seen == ["begun"]
    assert await queue.get() == 1
    assert await task == "done"
    assert (await queue.get(), seen) == (2, ["begun", "put"])


async def test_errors_pass_at_the_first_step_and_later() -> None:
    async def first() -> None:
        raise ValueError("first")

    async def later() -> None:
        await asyncio.sleep(0)
        raise ValueError("later")

    with pytest.raises(ValueError, match="first"):
        run_eagerly(first())
    with pytest.raises(ValueError, match="later"):
        await run_eagerly(later())[1]


async def test_a_cancellation_reaches_it() -> None:
    seen = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(run_eagerly(work())[1])
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]
