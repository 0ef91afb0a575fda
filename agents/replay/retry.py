"""Retries for a limited time: a replay survives the restart of a server, but not an outage."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import StoreError
from streams.retry import FINAL, RetryDelays

T = TypeVar("T")
RETRY_FOR_S = 120.0


async def retry_for(
    action: Callable[[], Awaitable[T]],
    *,
    within_s: float | None = None,
    say: Callable[[str], None] = lambda _: None,
    final: tuple[type[StoreError], ...] = (),
) -> T:
    """Return what `action` returns. After a StoreError, retry with jitter for `within_s`.

    The default of `within_s` is RETRY_FOR_S. Errors in `final`, and errors that a retry cannot
    solve, are raised at once. The first other error is reported with `say`. Raises the last error
    when the time is over: the replay's bookmark is kept, and the same command continues there.
    """
    within_s = RETRY_FOR_S if within_s is None else within_s
    backoff = RetryDelays()
    until_s = time.monotonic() + within_s
    reported = False
    while True:
        try:
            return await action()
        except (*FINAL, *final):
            raise
        except StoreError as error:
            if time.monotonic() > until_s:
                raise
            if not reported:
                say(f"Retrying for {within_s:.0f} s: {error}")
                reported = True
            await asyncio.sleep(backoff.next_s())
