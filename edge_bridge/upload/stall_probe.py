"""Uploads that hang are begun anew as soon as the store answers again.

A server that accepts and never answers looks like a thin line, on which an upload may take an hour
(adaptive_timeout.py). So while one takes long, a small question is asked beside it:

    upload   |--------------------------------------------x anew
    asked          ? silence     ? silence      ? answer

An answer after silence ends what was begun before it, once until an upload is done: on a line so
thin that questions get lost in it, uploads must be left in peace.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

LONG_S = 20.0
"""An upload that takes longer is asked about, again and again at this distance."""
ANSWER_S = 10.0


class StallProbe:
    """Limits uploads in time, and ends them early where the store answers again."""

    def __init__(self, asks: Callable[[], Awaitable[bool]]) -> None:
        """`asks` returns whether anything at all was answered; it is given 10 s."""
        self._asks = asks
        self._begun: dict[asyncio.Timeout, float] = {}
        self._anew: set[asyncio.Timeout] = set()
        self._silent = self._spent = False

    @asynccontextmanager
    async def limited(self, allowed_s: float) -> AsyncIterator[Callable[[], bool]]:
        """Raise TimeoutError after so long, or earlier; what is yielded tells which."""
        async with asyncio.timeout(allowed_s) as limit:
            self._begun[limit] = _now_s()
            try:
                yield lambda: limit in self._anew
            finally:
                del self._begun[limit]
        self._silent = self._spent = False

    async def run(self) -> None:
        """Ask while uploads take long, until cancelled."""
        while True:
            await asyncio.sleep(LONG_S * (0.75 + random.random() / 2))  # noqa: S311
            self._anew.clear()
            asked_s = _now_s()
            if min(self._begun.values(), default=asked_s) > asked_s - LONG_S:
                continue
            heard = await self._heard()
            if heard and self._silent and not self._spent:
                self._spent = True
                for limit, begun_s in self._begun.items():
                    if begun_s <= asked_s:
                        self._anew.add(limit)
                        limit.reschedule(_now_s())
            self._silent = not heard

    async def _heard(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._asks()
        except TimeoutError:
            return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()
