"""A few slots that several parties share fairly: who has waited longest is not who waits most.

flood    A A A A A A A ─┐
                        ├─► one waiting request of each party in turn ──► slots
another  B ─────────────┘

While more than one party is active, one party never has all slots: the other's next request
begins at once.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

ACTIVE_S = 60.0
"""A party counts as active so long after its last request."""


class FairQueue:
    """Hands out `slots` slots. A party is whatever shares them: a tenant, a principal."""

    def __init__(self, slots: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock_s = clock_s
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By party, the one whose turn is next first."""
        self._seen_s: OrderedDict[str, float] = OrderedDict()
        """When each active party last asked, the longest ago first."""

    @asynccontextmanager
    async def slot(self, party: str, within_s: float | None = None) -> AsyncIterator[None]:
        """Hold a slot; waits for one while all are taken. Raises TimeoutError after `within_s`."""
        await self.acquire(party, within_s)
        try:
            yield
        finally:
            self.release(party)

    async def acquire(self, party: str, within_s: float | None = None) -> None:
        """Take a slot, as `slot` does; the caller has to release it."""
        if not self._take(party):
            await self._wait(party, within_s)

    def _take(self, party: str) -> bool:
        """Take a free slot, if this party may have one now."""
        now_s = self._clock_s()
        self._seen_s[party] = now_s
        self._seen_s.move_to_end(party)
        while next(iter(self._seen_s.values())) < now_s - ACTIVE_S:
            self._seen_s.popitem(last=False)
        if not self._may_run(party):
            return False
        self._running[party] += 1
        return True

    async def _wait(self, party: str, within_s: float | None) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(party, deque()).append(turn)
        try:
            async with asyncio.timeout(within_s):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it got a slot at the same moment
                self.release(party)
            raise

    def _may_run(self, party: str) -> bool:
        free = self._slots - self._running.total()
        if free <= 0:
            return False
        others_are_active = len(self._seen_s) > 1 and self._slots > 1
        return not others_are_active or self._running[party] < self._slots - 1

    def release(self, party: str) -> None:
        """Give a slot back."""
        self._running[party] -= 1
        if not self._running[party]:
            del self._running[party]
        self._hand_on()

    def _hand_on(self) -> None:
        """Give free slots to those who wait, one of each party in turn."""
        for party in list(self._waiting):
            if not self._may_run(party):
                continue
            turns = self._waiting[party]
            while turns and turns[0].done():  # cancelled
                turns.popleft()
            if turns:
                turns.popleft().set_result(None)
                self._running[party] += 1
            del self._waiting[party]
            if turns:  # its next turn comes after all others'
                self._waiting[party] = turns
