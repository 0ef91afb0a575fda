"""How long an upload may take before it counts as hanging.

A line of 64 kbit/s needs minutes for a fragment that another sends in a second, and a server that
accepts and never answers looks just like it. So the allowance starts short, doubles with each
upload that did not end in time, up to an hour, and follows what the line carries once it does.
"""

from dataclasses import dataclass

_LEAST_S = 20.0
_FASTEST = 64_000.0
_SLOWEST = 500.0
"""Bytes a second that are counted on, at most and at least."""
LONGEST_S = 3_600.0


@dataclass(slots=True)
class AdaptiveTimeout:
    """What one line deserves."""

    _rate: float = _FASTEST

    def allowed_s(self, size: int) -> float:
        """Return how long an upload of so many bytes may take."""
        return min(_LEAST_S + size / self._rate, LONGEST_S)

    def ran_out(self) -> None:
        """An upload did not end in time."""
        self._rate = max(self._rate / 2, _SLOWEST)

    def took(self, size: int, seconds: float) -> None:
        """An upload was done."""
        carried = size / max(seconds, 0.001)
        self._rate = min(max(carried / 4, self._rate), _FASTEST)
