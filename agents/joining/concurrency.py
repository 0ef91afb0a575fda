"""Work done beside each other, of which all is over when this returns."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from domain.errors import InvalidEventError
from streams.retry import Interrupted


async def run_all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all to their ends, then raise what went wrong.

    Of several failures the worst is raised: what ends the process before what is given back, and
    that before what is refused. Cancelled, it cancels all of them and waits.
    """
    tasks = [asyncio.create_task(work) for work in works]
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
