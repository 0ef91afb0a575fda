"""An object that does not move is reported once, then rarely. Times are passed in."""

from dataclasses import dataclass

from vision.detector import Box
from vision.tracking import MAX_TRACKS, TrackedBox

_MIN_IOU = 0.6
"""Overlap (intersection over union) with the box where it came to rest."""


@dataclass(slots=True)
class _RestingTrack:
    box: Box
    since_ms: int
    reported_ms: int


class StationaryFilter:
    """Remembers where each track of one run rests."""

    def __init__(self, *, after_ms: int, every_ms: int) -> None:
        """Report a track at rest for `after_ms` only every `every_ms`; 0: not until it moves."""
        self._after_ms = after_ms
        self._every_ms = every_ms
        self._resting: dict[str, _RestingTrack] = {}
        """By track, the one seen last at the end: an LRU."""

    def should_report(self, tracked: TrackedBox, at_ms: int) -> bool:
        """Return whether to report this box of the picture taken at `at_ms`."""
        resting = self._resting.pop(tracked.track, None)
        if resting is None or iou(resting.box, tracked.box) < _MIN_IOU:
            resting = _RestingTrack(tracked.box, at_ms, at_ms)
        self._resting[tracked.track] = resting
        while len(self._resting) > 2 * MAX_TRACKS:
            del self._resting[next(iter(self._resting))]
        is_stationary = at_ms - resting.since_ms > self._after_ms
        due = bool(self._every_ms) and not 0 <= at_ms - resting.reported_ms < self._every_ms
        if is_stationary and not due:
            return False
        resting.reported_ms = at_ms
        return True


def iou(one: Box, other: Box) -> float:
    """Return intersection over union of two boxes (x, y, width, height)."""
    shared_w = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    shared_h = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    intersection = max(shared_w, 0.0) * max(shared_h, 0.0)
    union = one[2] * one[3] + other[2] * other[3] - intersection
    return intersection / union if union > 0 else 0.0
