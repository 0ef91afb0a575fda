"""The age of a camera's last fragment: a camera may send data from which no fragment ever comes.

    connected ── frames ── fragment ── frames that never complete a fragment ── overdue
                                       └ the recorder closes the connection and connects again

The camera's thread feeds the watchdog and closes its connection. Other threads ask it too: a thread
that hangs cannot report that itself.
"""

import time
from collections.abc import Callable

HANG_S = 30.0
"""If a fragment is overdue by this much more, the camera's thread hangs."""


class Watchdog:
    """The watchdog of one camera. Only the camera's thread calls `fed` and `disarm`."""

    def __init__(self, limit_s: float, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._monotonic_s = monotonic_s
        self._since_s: float | None = None

    def fed(self) -> None:
        """Start the time again: a connection begins, or a fragment is complete."""
        self._since_s = self._monotonic_s()

    def disarm(self) -> None:
        """Stop the time: there is no connection."""
        self._since_s = None

    def overdue_s(self) -> float | None:
        """Return the age of the last fragment if that is too old."""
        since_s = self._since_s
        age_s = 0.0 if since_s is None else self._monotonic_s() - since_s
        return age_s if age_s > self._limit_s else None

    def hung_s(self) -> float | None:
        """Return the age of the last fragment if the thread should have acted long ago."""
        age_s = self.overdue_s()
        return age_s if age_s is not None and age_s > self._limit_s + HANG_S else None
