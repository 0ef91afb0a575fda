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
    what: str,
    every_s: float = 0.05,
) -> T:
    """Return the first truthy result of `condition`; fail with `what` after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        outcome = condition()
        result: T = await outcome if inspect.isawaitable(outcome) else outcome  # type: ignore[assignment]
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what} (last: {result!r})")
        await asyncio.sleep(every_s)
