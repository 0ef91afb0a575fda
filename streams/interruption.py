"""The signal to work in progress that its partitions are being revoked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

GRACE_S = 5.0


class Interrupted(Exception):  # noqa: N818 - not an error: the event simply comes again
    """The partitions are being revoked, or the worker stops, before an action was done."""


class Interruption:
    """Set while no event may be processed; an action in progress gets `grace_s` to end.

    A rebalance waits for all work in progress, and the whole group waits for the rebalance. An
    action that hangs must not stop the group. All methods are for the event loop's thread.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self._event = asyncio.Event()
        self._deadlines: set[asyncio.Timeout] = set()
        self._grace_s = grace_s

    def is_set(self) -> bool:
        """Return whether partitions are being revoked."""
        return self._event.is_set()

    async def wait(self) -> bool:
        """Wait until they are."""
        return await self._event.wait()

    def set(self) -> None:
        """Begin: work in progress has `grace_s` left."""
        if not self._event.is_set():
            self._event.set()
            for deadline in self._deadlines:
                deadline.reschedule(self._give_up_at())

    def clear(self) -> None:
        """End: events are processed again."""
        self._event.clear()

    @asynccontextmanager
    async def bounded(self, what: str) -> AsyncIterator[None]:
        """Run an action; raise Interrupted if it was stopped."""
        try:
            async with asyncio.timeout(None) as deadline:
                if self._event.is_set():
                    deadline.reschedule(self._give_up_at())
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if deadline.expired():
                raise Interrupted(f"{what}: stopped, its partitions are revoked") from None
            raise

    def _give_up_at(self) -> float:
        return asyncio.get_running_loop().time() + self._grace_s
