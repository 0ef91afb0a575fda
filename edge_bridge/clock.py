"""This device's clocks: UTC, or provisional time since boot while UTC is plainly wrong."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from domain.identity import new_run_id
from domain.times import utc_ms
from domain.unset_clock import BOOT_BYTES, is_provisional, now_ms, plainly_wrong

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boottime_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def boot_id() -> str:
    """Return 8 hex digits, the same until the device restarts."""
    try:
        boot = _BOOT_ID.read_bytes()
    except OSError:  # not Linux: as if the device had started with this process
        boot = os.urandom(16)
    return hashlib.sha256(boot).hexdigest()[: 2 * BOOT_BYTES]


class EdgeClock:
    """The clock of the whole edge. Safe to read from any thread."""

    def __init__(
        self,
        wall_ms: Callable[[], int] = utc_ms,
        boottime_ms: Callable[[], int] = _boottime_ms,
        boot: str | None = None,
    ) -> None:
        self._wall_ms = wall_ms
        self._boottime_ms = boottime_ms
        self.boot = boot_id() if boot is None else boot

    def now_ms(self) -> int:
        """Return UTC; while it is plainly wrong, the time since boot."""
        return now_ms(self._wall_ms(), self._boottime_ms())

    def shift_ms(self) -> int | None:
        """Return UTC minus the time since boot; None while UTC is plainly wrong."""
        wall = self._wall_ms()
        return None if plainly_wrong(wall) else wall - self._boottime_ms()

    def new_run(self, started_ms: int) -> str:
        """Return the id of a new run. A provisional id ends with the id of this boot."""
        tail = bytes.fromhex(self.boot) if is_provisional(started_ms) else os.urandom(BOOT_BYTES)
        return new_run_id(started_ms, os.urandom(10 - BOOT_BYTES) + tail)
