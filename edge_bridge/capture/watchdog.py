"""The age of a camera's last valid fragment: what is sent may be alive and yet record nothing.

    connected ── pictures ── fragment ── pictures, none of which ever makes a fragment ── overdue
                                         └ the connection is ended and made anew

The camera's thread feeds it and ends its connection; others ask too, for a thread that hangs cannot
say so itself.
"""

import time
from collections.abc import Callable

HANGS_S = 30.0
"""Overdue by so much more, its thread does not come to end the connection: it hangs."""


class Watchdog:
    """One camera's. `fed` and `rest` are the camera's thread's, `hangs_s` anyone's."""

    def __init__(self, limit_s: float, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._steady_s = limit_s, steady_s
        self._since_s: float | None = None

    def fed(self) -> None:
        """A connection begins, or a fragment is whole."""
        self._since_s = self._steady_s()

    def rest(self) -> None:
        """There is no connection."""
        self._since_s = None

    def overdue_s(self) -> float | None:
        """Return how old the last fragment is where that is too old."""
        since_s = self._since_s
        age_s = 0.0 if since_s is None else self._steady_s() - since_s
        return age_s if age_s > self._limit_s else None

    def hangs_s(self) -> float | None:
        """Return how old the last fragment is where the thread should have acted long ago."""
        age_s = self.overdue_s()
        return age_s if age_s is not None and age_s > self._limit_s + HANGS_S else None
