"""Trying again for a while: a replay outlives a broker's or a database's restart, not an outage."""

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
    """Return what `action` returns; after a StoreError try again, with jitter, for `within_s`.

    That is RETRY_FOR_S unless said otherwise. What is `final`, or what another try never mends, is
    raised at once; the first other failure is told. Raises the last one when the time is over: the
    replay's bookmark stands, and the same command goes on from there.
    """
    within_s = RETRY_FOR_S if within_s is None else within_s
    backoff, until_s, told = RetryDelays(), time.monotonic() + within_s, False
    while True:
        try:
            return await action()
        except (*FINAL, *final):
            raise
        except StoreError as error:
            if time.monotonic() > until_s:
                raise
            if not told:
                say(f"Trying again for {within_s:.0f} s: {error}")
                told = True
            await asyncio.sleep(backoff.next_s())
