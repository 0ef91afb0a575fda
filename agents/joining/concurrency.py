"""Run several coroutines at the same time, and wait until all of them have ended."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from domain.errors import InvalidEventError
from streams.retry import Interrupted


async def run_all(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all coroutines to their ends, then raise the worst failure.

    The order from worst: an error that ends the process, an interruption, a refused event.
    When this is cancelled, it cancels all coroutines and waits for them.
    """
    tasks = [asyncio.create_task(each) for each in coroutines]
    if not tasks:
        return
    try:
        await asyncio.wait(tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    failures = [failure for task in tasks if (failure := _failure(task)) is not None]
    if failures:
        raise min(failures, key=_rank)


def _failure(task: "asyncio.Task[None]") -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _rank(failure: BaseException) -> int:
    if isinstance(failure, InvalidEventError):
        return 2
    return 1 if isinstance(failure, Interrupted | asyncio.CancelledError) else 0
