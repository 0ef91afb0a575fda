"""How long an upload, or a request to the queue, may take before it counts as stalled.

A line of 64 kbit/s needs minutes for a fragment that a fast line sends in a second. A server that
accepts a request and never answers is like a slow line. So the timeout starts short and
doubles with each upload that runs into it, up to an hour. Once uploads succeed, it follows their
speed.
"""

from dataclasses import dataclass

MAX_TIMEOUT_S = 3_600.0
_MIN_TIMEOUT_S = 20.0
_MAX_BYTES_PER_S = 64_000.0
_MIN_BYTES_PER_S = 500.0
"""Bounds of the speed that the timeout assumes."""
_SAFETY_FACTOR = 4
"""The timeout assumes a line this many times slower than the last upload showed."""


_MIN_LINE_BYTES_PER_S = 8_000.0
"""64 kbit/s: a full batch of messages takes 32 s."""


@dataclass(slots=True)
class AdaptiveTimeout:
    """The timeout of uploads over one line."""

    _bytes_per_s: float = _MAX_BYTES_PER_S

    def timeout_s(self, size: int) -> float:
        """Return how long an upload of `size` bytes may take, seconds."""
        return min(_MIN_TIMEOUT_S + size / self._bytes_per_s, MAX_TIMEOUT_S)

    def timed_out(self) -> None:
        """Note an upload that did not end in time: allow twice as long."""
        self._bytes_per_s = max(self._bytes_per_s / 2, _MIN_BYTES_PER_S)

    def succeeded(self, size: int, seconds: float) -> None:
        """Note that `size` bytes took so long."""
        measured = size / max(seconds, 0.001)
        self._bytes_per_s = min(max(measured / _SAFETY_FACTOR, self._bytes_per_s), _MAX_BYTES_PER_S)


@dataclass(slots=True)
class RequestTimeout:
    """The timeout of requests of which only one is in flight: while it waits, all others do.

    A connection may be lost without a sign, and a server may lose a request. So the first timeout
    is short, and the request goes out again on another connection. It doubles with each timeout.
    """

    least_s: float = 5.0
    most_s: float = 60.0
    _timeout_s: float = 0.0

    def timeout_s(self, size: int) -> float:
        """Return how long a request of `size` bytes may take, seconds."""
        whole_s = self._current_s + size / _MIN_LINE_BYTES_PER_S
        return min(whole_s, self.most_s)

    def timed_out(self) -> None:
        """Note a request without an answer in time: allow the next one twice as long."""
        self._timeout_s = min(self._current_s * 2, self.most_s)

    def succeeded(self, seconds: float) -> None:
        """Note a request that was answered: a slow server keeps the time that it needs."""
        self._timeout_s = min(max(self.least_s, seconds * _SAFETY_FACTOR), self.most_s)

    @property
    def _current_s(self) -> float:
        return self._timeout_s or self.least_s
