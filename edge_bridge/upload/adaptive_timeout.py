"""How long an upload may take before it counts as stalled.

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
