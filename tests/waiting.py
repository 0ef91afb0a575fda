"""Waiting for conditions instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
SLOWER, LEAST_S = 4, 120
"""Machines that are so many times slower pass too, as far as that takes not more than LEAST_S."""


async def wait_for(
    condition: Callable[[], T | Awaitable[T]],
    *,
    within_s: float,
    what: str | Callable[[], str],
    every_s: float = 0.05,
) -> T:
    """Return the first truthy result of `condition`; fail with `what` where it takes too long.

    `within_s` is what a machine of two free cores needs at most: a slow or busy one has longer.
    Give a function for `what` for a text of the moment of failure, such as logs.
    """
    limit_s = max(within_s, min(SLOWER * within_s, LEAST_S))
    deadline = time.monotonic() + limit_s
    while True:
        outcome = condition()
        result: T = await outcome if inspect.isawaitable(outcome) else outcome  # type: ignore[assignment]
        if result:
            return result
        if time.monotonic() > deadline:
            text = what() if callable(what) else what
            raise AssertionError(f"not within {limit_s} s: {text} (last: {result!r})")
        await asyncio.sleep(every_s)
