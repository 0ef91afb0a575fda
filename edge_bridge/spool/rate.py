"""How fast footage comes: bytes over all cameras, measured over the last hour."""

import threading
from collections import deque

HOUR_MS = 3_600_000
_SLOT_MS = 60_000
LEAST_MS = 60_000
"""Shorter stretches tell nothing."""


class ByteRate:
    """Counts bytes by the minute; `now_ms` is any clock that does not go back. Safe for threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._slots: deque[tuple[int, int]] = deque()
        self._since_ms: int | None = None

    def add(self, now_ms: int, size: int) -> None:
        """Count a fragment's bytes."""
        slot = now_ms // _SLOT_MS
        with self._guard:
            if self._since_ms is None:
                self._since_ms = now_ms
            if self._slots and self._slots[-1][0] == slot:
                self._slots[-1] = (slot, self._slots[-1][1] + size)
            else:
                self._slots.append((slot, size))
            self._forget(now_ms)

    def hour_bytes(self, now_ms: int) -> int:
        """Return the bytes that an hour brings as it goes now; 0 while too little was seen."""
        with self._guard:
            if self._since_ms is None or now_ms - self._since_ms < LEAST_MS:
                return 0
            self._forget(now_ms)
            seen_ms = min(now_ms - self._since_ms, HOUR_MS)
            return sum(size for _, size in self._slots) * HOUR_MS // seen_ms

    def _forget(self, now_ms: int) -> None:
        oldest = (now_ms - HOUR_MS) // _SLOT_MS
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
