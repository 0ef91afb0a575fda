"""What stands still is said once, and then seldom: a parked car is no news. Times are passed in."""

from dataclasses import dataclass

from vision.detector import Box
from vision.tracking import MAX_TRACKS, TrackedBox

_SAME_PLACE = 0.6
"""Overlap (intersection over union) with where it came to rest."""


@dataclass(slots=True)
class _RestingTrack:
    box: Box
    since_ms: int
    told_ms: int


class StationaryFilter:
    """Knows where each track of one run rests."""

    def __init__(self, *, after_ms: int, every_ms: int) -> None:
        """A track at rest for `after_ms` is told every `every_ms`; 0: not again until it moves."""
        self._after_ms, self._every_ms = after_ms, every_ms
        self._rests: dict[str, _RestingTrack] = {}

    def is_news(self, tracked: TrackedBox, at_ms: int) -> bool:
        """Whether to report this box of the picture taken at `at_ms`."""
        rest = self._rests.pop(tracked.track, None)
        if rest is None or iou(rest.box, tracked.box) < _SAME_PLACE:
            rest = _RestingTrack(tracked.box, at_ms, at_ms)
        self._rests[tracked.track] = rest  # the one seen last stands last
        while len(self._rests) > 2 * MAX_TRACKS:
            del self._rests[next(iter(self._rests))]
        resting = at_ms - rest.since_ms > self._after_ms
        due = bool(self._every_ms) and not 0 <= at_ms - rest.told_ms < self._every_ms
        if resting and not due:
            return False
        rest.told_ms = at_ms
        return True


def iou(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes (x, y, width, height)."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(wide, 0.0) * max(high, 0.0)
    union = one[2] * one[3] + other[2] * other[3] - common
    return common / union if union > 0 else 0.0
