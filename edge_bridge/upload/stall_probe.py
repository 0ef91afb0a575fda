"""Uploads that stall are restarted as soon as the store answers again.

A server that accepts and never answers is like a slow line. There an upload may take an hour (see
adaptive_timeout.py). So while an upload takes long, a small health probe runs next to it:

    upload   |--------------------------------------------x restarted
    probe          ? silence     ? silence      ? answer

An answer after silence ends the uploads that started before the probe. That happens once until an
upload succeeds: on a line so slow that probes get lost, uploads must not be interrupted.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

PROBE_AFTER_S = 20.0
"""An upload that takes longer is probed for, again and again at this interval (with jitter)."""
PROBE_TIMEOUT_S = 10.0


class StallProbe:
    """Limits uploads in time, and ends them early where the store answers again."""

    def __init__(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """`probe` returns whether the store answered anything at all; it may take 10 s."""
        self._probe = probe
        self._started_s: dict[asyncio.Timeout, float] = {}
        """Uploads in flight, by their timeouts."""
        self._stalled: set[asyncio.Timeout] = set()
        """Those that were ended to be restarted."""
        self._was_silent = False
        self._has_restarted = False
        """Since the last upload that succeeded."""

    @asynccontextmanager
    async def timeout(self, timeout_s: float) -> AsyncIterator[Callable[[], bool]]:
        """Raise TimeoutError after `timeout_s`, or earlier where the upload stalled.

        Yields a function that returns whether it stalled: then restart it at once.
        """
        async with asyncio.timeout(timeout_s) as limit:
            self._started_s[limit] = _now_s()
            try:
                yield lambda: limit in self._stalled
            finally:
                del self._started_s[limit]
        self._was_silent = False
        self._has_restarted = False

    async def run(self) -> None:
        """Probe while uploads take long, until cancelled."""
        while True:
            await asyncio.sleep(PROBE_AFTER_S * (0.75 + random.random() / 2))  # noqa: S311
            self._stalled.clear()
            probed_s = _now_s()
            if min(self._started_s.values(), default=probed_s) > probed_s - PROBE_AFTER_S:
                continue
            answered = await self._is_answered()
            if answered and self._was_silent and not self._has_restarted:
                self._has_restarted = True
                for limit, started_s in self._started_s.items():
                    if started_s <= probed_s:
                        self._stalled.add(limit)
                        limit.reschedule(_now_s())
            self._was_silent = not answered

    async def _is_answered(self) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return await self._probe()
        except TimeoutError:
            return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()
