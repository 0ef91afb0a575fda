"""Which frames of a fragment are analysed: selected by their own time. Pure.

    grid of 2 a second  |        |        |        |
    frames at 5 a s     *  .  .  *  .  *  .  .  *        the first in each cell

The grid is fixed to the run's PTS. So the same frames are selected, whatever was decoded before:
from any fragment on, in any order, twice.
"""

from dataclasses import dataclass

TICKS_PER_MS = 90
_TICKS_PER_1000_S = 90_000_000


@dataclass(frozen=True, slots=True)
class FragmentClock:
    """Relates a fragment's media time to UTC."""

    start_pts: int
    start_ms: int
    duration_ms: int
    frames: int

    def at_ms(self, pts: int) -> int:
        """Return when the frame at `pts` (90 kHz, unwrapped) was taken, UTC ms."""
        return self.start_ms + round((pts - self.start_pts) / TICKS_PER_MS)

    @property
    def previous_pts(self) -> int:
        """PTS of the last frame before the fragment, estimated from its frame rate."""
        return self.start_pts - self.duration_ms * TICKS_PER_MS // max(1, self.frames)


def in_next_cell(pts: int, previous_pts: int, rate_mfps: int) -> bool:
    """Return whether a frame is the first in its cell of the grid, after the frame before it."""
    return _cell(pts, rate_mfps) != _cell(previous_pts, rate_mfps)


def _cell(pts: int, rate_mfps: int) -> int:
    return pts * rate_mfps // _TICKS_PER_1000_S
