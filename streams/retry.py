"""Retries: with a limit on the delay, with jitter, without end, and visible in the metrics.

A worker that cannot reach S3 or PostgreSQL must not skip the event in progress. It must not stop
the whole consumer group either. So it tries again for as long as its partitions are its own. When
they are revoked, or the worker stops, Interrupted is raised. The event then counts as not done, and
comes again, here or elsewhere.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from domain.backoff import EQUAL_JITTER, Backoff
from domain.errors import IntegrityError, ObjectExistsError, ObjectMissingError, StoreError
from streams import metrics
from streams.interruption import Interrupted, Interruption

__all__ = ["FINAL", "Interrupted", "RetryDelays", "retry"]

T = TypeVar("T")

FINAL: tuple[type[StoreError], ...] = (ObjectMissingError, ObjectExistsError, IntegrityError)
"""StoreErrors that another try does not solve: the caller decides."""


@dataclass
class RetryDelays:
    """The delays of one series of tries: they double up to `longest_s`, with equal jitter."""

    first_s: float = 0.1
    longest_s: float = 15.0
    random: Callable[[], float] = field(default=random.random)
    tries: int = 0

    def next_s(self) -> float:
        """Return how long to wait before the next try, in seconds."""
        backoff = Backoff(self.first_s, self.longest_s, jitter=EQUAL_JITTER)
        delay_s = backoff.delay_s(self.tries, self.random())
        self.tries += 1
        return delay_s


async def retry(
    action: Callable[[], Awaitable[T]],
    *,
    what: str,
    interrupted: Interruption,
    errors: tuple[type[Exception], ...] = (StoreError,),
    final: tuple[type[Exception], ...] = FINAL,
    backoff: RetryDelays | None = None,
    on_failure: Callable[[Exception, float], None] | None = None,
) -> T:
    """Return what `action` returns, trying again after each of `errors` that is not `final`.

    `what` names the action in the metrics, a few words from a fixed list. Raises Interrupted
    when `interrupted` is set and the action does not end soon. Every other exception of `action`
    passes as it is. An action may be cancelled at any await: it must be safe to repeat.
    """
    backoff = backoff or RetryDelays()
    waiting = False
    try:
        while True:
            try:
                async with interrupted.bounded(what):
                    return await action()
            except final:
                raise
            except errors as error:
                pause_s = backoff.next_s()
                metrics.RETRIES.labels(what).inc()
                if not waiting:
                    waiting = True
                    metrics.RETRYING.labels(what).inc()
                if on_failure is not None:
                    on_failure(error, pause_s)
                if await _set_within(interrupted, pause_s):
                    raise Interrupted(f"{what}: given back after {error}") from error
    finally:
        if waiting:
            metrics.RETRYING.labels(what).dec()


async def _set_within(event: Interruption, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
