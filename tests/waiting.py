"""Waiting for conditions instead of sleeping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_for(
    condition: Callable[[], T | Awaitable[T]],
    *,
    within_s: float,
    what: str | Callable[[], str],
    every_s: float = 0.05,
) -> T:
    """Return the first truthy result of `condition`; fail with `what` after `within_s`.

    Give a function for `what` where it shall tell of the moment of failure, such as logs.
    """
    deadline = time.monotonic() + within_s
    while True:
        outcome = condition()
        result: T = await outcome if inspect.isawaitable(outcome) else outcome  # type: ignore[assignment]
        if result:
            return result
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {within_s} s: {said} (last: {result!r})")
        await asyncio.sleep(every_s)
