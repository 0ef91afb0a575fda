"""The rate limit of uploads: a token bucket that may go into debt.

A fragment is sent whole. The next one waits until the debt is paid:

    tokens   1 s of the cap ──► fragment of 5 s ──► -4 s ──── waits 4 s ────► next

Over any period the line carries the cap and at most one fragment more. Messages are charged but
never wait: they are small, and a heartbeat matters more than a picture.

Live pictures go first, with LIVE_SHARE of the cap at most: fragments wait for what they spend, and
keep the rest. Without a cap, fragments start slowly while live pictures are dropped.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from domain.times import utc_ms as _utc_ms
from edge_bridge.config.schedule import Schedule
from edge_bridge.config.upload import UploadConfig

_BURST_S = 1.0
_RECHECK_S = 5.0
"""The longest single wait: the schedule may change during it."""
_BYTES_PER_KBIT = 125.0
LIVE_SHARE = 0.8
"""Of the cap, for all live pictures together: somebody who watches all day stops no upload."""
_YIELD_S = 10.0
"""So long after a live picture was dropped, fragments start slowly."""
_SLOW_START_S = 2.0
"""Then one fragment in so many seconds."""


class TokenBucket:
    """The arithmetic, without a clock of its own: `now_s` is monotonic, `kbit` None for no cap."""

    def __init__(self) -> None:
        self._tokens = 0.0
        """Bytes that may be sent at once; negative: a debt."""
        self._refilled_s: float | None = None

    def wait_s(self, now_s: float, kbit: int | None) -> float:
        """Refill, then return how long to wait before anything may be sent; 0: now."""
        if kbit is None:
            self._tokens = 0.0
            self._refilled_s = now_s
            return 0.0
        if kbit == 0:
            self._refilled_s = now_s
            return _RECHECK_S
        bytes_per_s = kbit * _BYTES_PER_KBIT
        if self._refilled_s is None:
            self._tokens = bytes_per_s * _BURST_S
        else:
            self._tokens += max(now_s - self._refilled_s, 0.0) * bytes_per_s
        self._refilled_s = now_s
        self._tokens = min(self._tokens, bytes_per_s * _BURST_S)
        # A debt of less than a byte is a rounding error.
        return 0.0 if self._tokens > -1 else -self._tokens / bytes_per_s

    def spend(self, size: int) -> None:
        """Charge for bytes that are sent."""
        self._tokens -= size


class BandwidthLimiter:
    """The cap that all uploads of this edge share."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        utc_ms: Callable[[], int] = _utc_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._schedule = schedule
        self._steady_s = steady_s
        self._utc_ms = utc_ms
        self._sleep = sleep
        self._bucket = TokenBucket()
        self._live_bucket = TokenBucket()
        self._yields_until_s = 0.0
        self._next_start_s = 0.0
        self._lock = asyncio.Lock()

    @classmethod
    def from_config(cls, config: UploadConfig) -> "BandwidthLimiter":
        """Return the cap that the configuration sets."""
        return cls(config.bandwidth_schedule())

    @property
    def kbit(self) -> int | None:
        """Return the cap now; None: there is none."""
        return self._schedule.kbit(self._utc_ms())

    async def ready(self) -> None:
        """Wait until something may be sent."""
        async with self._lock:
            while (wait_s := self._wait_s(self._steady_s())) > 0:
                await self._sleep(min(wait_s, _RECHECK_S))
            self._next_start_s = self._steady_s() + _SLOW_START_S

    def _wait_s(self, now_s: float) -> float:
        wait_s = self._bucket.wait_s(now_s, self.kbit)
        if now_s < self._yields_until_s:
            return max(wait_s, self._next_start_s - now_s)
        return wait_s

    async def live_ready(self) -> None:
        """Wait until a live picture may be sent. It waits for no upload."""
        while (wait_s := self._live_bucket.wait_s(self._steady_s(), self._live_kbit())) > 0:
            await self._sleep(min(wait_s, _RECHECK_S))

    def spend_live(self, size: int) -> None:
        """Charge for the bytes of a live picture: the uploads wait for them."""
        self._live_bucket.spend(size)
        self._bucket.spend(size)

    def yield_to_live(self) -> None:
        """Start fragments slowly for some seconds: the line is too thin for them and live."""
        self._yields_until_s = self._steady_s() + _YIELD_S

    def _live_kbit(self) -> int | None:
        kbit = self.kbit
        return None if kbit is None else int(kbit * LIVE_SHARE)

    def use_schedule(self, schedule: Schedule) -> None:
        """Apply another schedule from now on; a debt stays."""
        self._schedule = schedule

    def spend(self, size: int) -> None:
        """Charge for bytes that are sent."""
        self._bucket.spend(size)
