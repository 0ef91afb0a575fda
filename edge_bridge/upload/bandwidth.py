"""A token bucket that may owe: a fragment is sent whole, the next waits until it is paid for.

    tokens   1 s of the cap ──► fragment of 5 s ──► -4 s ──── waits 4 s ────► next

Over any stretch the line carries the cap and at most one fragment more. Messages pay, and do not
wait: they are small, and a heartbeat is worth more than a picture.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from domain.times import utc_ms
from edge_bridge.config.schedule import Schedule
from edge_bridge.config.upload import UploadConfig

_BURST_S = 1.0
_LOOK_AGAIN_S = 5.0
"""Longest wait at a time: the schedule may change meanwhile."""


class TokenBucket:
    """The sums, without a clock of their own: `now_s` is monotonic, `kbit` None for no cap."""

    def __init__(self) -> None:
        self._bytes = 0.0
        self._at_s: float | None = None

    def wait_s(self, now_s: float, kbit: int | None) -> float:
        """Return how long to wait before anything may be sent; 0: now."""
        if kbit is None:
            self._bytes, self._at_s = 0.0, now_s
            return 0.0
        if kbit == 0:
            self._at_s = now_s
            return _LOOK_AGAIN_S
        rate = kbit * 125.0  # bytes a second
        if self._at_s is None:
            self._bytes = rate * _BURST_S
        else:
            self._bytes += max(now_s - self._at_s, 0.0) * rate
        self._at_s = now_s
        self._bytes = min(self._bytes, rate * _BURST_S)
        return 0.0 if self._bytes > -1 else -self._bytes / rate  # less than a byte is rounding

    def spend(self, size: int) -> None:
        """Note bytes that are sent."""
        self._bytes -= size


class BandwidthLimiter:
    """The cap that all uploads of this edge share."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        utc_ms: Callable[[], int] = utc_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._schedule = schedule
        self._steady_s, self._utc_ms, self._sleep = steady_s, utc_ms, sleep
        self._bucket = TokenBucket()
        self._turn = asyncio.Lock()

    @classmethod
    def from_config(cls, config: UploadConfig) -> "BandwidthLimiter":
        """Return the cap that the configuration sets."""
        return cls(config.cap_schedule())

    @property
    def kbit(self) -> int | None:
        """Return the cap now; None: there is none."""
        return self._schedule.kbit(self._utc_ms())

    async def ready(self) -> None:
        """Wait until something may be sent."""
        async with self._turn:
            while (wait_s := self._bucket.wait_s(self._steady_s(), self.kbit)) > 0:
                await self._sleep(min(wait_s, _LOOK_AGAIN_S))

    def follow(self, other: "BandwidthLimiter") -> None:
        """Keep another's caps from now on."""
        self._schedule = other._schedule

    def spend(self, size: int) -> None:
        """Note bytes that are sent."""
        self._bucket.spend(size)
