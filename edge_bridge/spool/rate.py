"""How much footage arrives: bytes of all cameras, measured over the last hour."""

import threading
from collections import deque

HOUR_MS = 3_600_000
_SLOT_MS = 60_000
MIN_MEASURED_MS = 60_000
"""A shorter time is too short to measure."""


class ByteRate:
    """Counts bytes by the minute. `now_ms` is any clock that does not go back. Thread-safe."""

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
            self._drop_old(now_ms)

    def hour_bytes(self, now_ms: int) -> int:
        """Return the bytes of an hour at the present rate; 0 where too little was measured."""
        with self._guard:
            if self._since_ms is None or now_ms - self._since_ms < MIN_MEASURED_MS:
                return 0
            self._drop_old(now_ms)
            measured_ms = min(now_ms - self._since_ms, HOUR_MS)
            return sum(size for _, size in self._slots) * HOUR_MS // measured_ms

    def _drop_old(self, now_ms: int) -> None:
        oldest = (now_ms - HOUR_MS) // _SLOT_MS
        while self._slots and self._slots[0][0] <= oldest:
            self._slots.popleft()
