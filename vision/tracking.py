"""Which boxes of successive pictures are one object: ByteTrack's two rounds over Kalman courses.

picture ─► sure boxes ─► matched with all tracks ───────────► new tracks from what is left
        └► unsure ones ─► matched with those just seen ─────► stay without a track
Method: Zhang et al., ByteTrack (ECCV 2022). docs/design/inference.md says why it is our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.assignment import assign
from vision.detector import Box, DetectedObject
from vision.kalman import BoxFilters, Floats, buffered_iou

_LEAST_SURE = 0.2
_LEAST_UNSURE = 0.4
"""Overlap of grown boxes that makes a pair possible, in both rounds."""
_LONGEST_MS = 60_000
"""No track outlives this, however seldom anybody looks."""
MAX_TRACKS = 1_000


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """What is known of one box of the newest picture."""

    track: str
    """Links boxes of one object; unique within its run."""
    box: Box
    """Smoothed, as fractions of the picture; for judging movement, not for showing."""


@dataclass(slots=True)
class _TrackState:
    name: str
    label: str
    seen_ms: int
    missed: int = 0


class Tracker:
    """Follows the objects of one run of one camera; times are passed in."""

    def __init__(self, *, sure: float = 0.5, lost_ms: int = 3_000) -> None:
        """`sure`: least score that begins a track; `lost_ms`: how long one outlives its object.

        A track is looked for in two pictures at least, however long those take to come.
        """
        self._sure, self._lost_ms = sure, lost_ms
        self._courses = BoxFilters()
        self._tracks: list[_TrackState] = []
        self._now_ms: int | None = None

    def update(
        self, found: Sequence[DetectedObject], *, pts: int, at_ms: int, aspect: float
    ) -> list[TrackedBox | None]:
        """Return the track of each box, None for an unsure one that belongs to none.

        found: all boxes of the picture; pts: of the run, names new tracks; at_ms: its time;
        aspect: width by height of the picture in pixels.
        """
        self._courses.go_on(max(0, at_ms - (at_ms if self._now_ms is None else self._now_ms)) / 1e3)
        self._now_ms = at_ms
        self._forget(at_ms)
        boxes = _measured(found, aspect)
        sure = np.flatnonzero([one.score >= self._sure for one in found])
        unsure = np.flatnonzero([one.score < self._sure for one in found])
        everyone = np.arange(len(self._tracks))
        rows = self._match(everyone, sure, found, boxes, _LEAST_SURE)
        just_seen = [k for k in everyone if k not in rows.values() and not self._tracks[k].missed]
        rows |= self._match(np.array(just_seen, np.intp), unsure, found, boxes, _LEAST_UNSURE)
        for track in self._tracks:
            track.missed += 1
        if rows:
            self._courses.see(np.array([*rows.values()], np.intp), boxes[[*rows]])
        fresh = [int(one) for one in sure if one not in rows]
        if fresh:
            rows |= self._begin(fresh, found, boxes, pts, at_ms)
        for row in rows.values():
            self._tracks[row].seen_ms, self._tracks[row].missed = at_ms, 0
        return [self._tracked(rows.get(one), aspect) for one in range(len(found))]

    def _match(
        self,
        rows: NDArray[np.intp],
        chosen: NDArray[np.intp],
        found: Sequence[DetectedObject],
        boxes: Floats,
        least: float,
    ) -> dict[int, int]:
        """Return box -> track for the best pairs of `rows` and `chosen`."""
        if not len(rows) or not len(chosen):
            return {}
        courses = self._courses
        reach = np.minimum(courses.unsure, courses.sizes)[rows]
        likeness = buffered_iou(courses.boxes[rows], boxes[chosen], reach)
        labels = np.array([self._tracks[row].label for row in rows])
        others = np.array([found[one].label for one in chosen])
        likeness[labels[:, None] != others[None, :]] = 0.0
        return {int(chosen[c]): int(rows[r]) for r, c in assign(likeness, least)}

    def _begin(
        self, fresh: list[int], found: Sequence[DetectedObject], boxes: Floats, pts: int, at_ms: int
    ) -> dict[int, int]:
        first = len(self._tracks)
        self._courses.begin(boxes[fresh])
        # The picture's own time in its run: a worker that starts in the midst of one, or two
        # that look at it together, give no name twice.
        self._tracks += [
            _TrackState(f"{pts:x}-{number}", found[one].label, at_ms)
            for number, one in enumerate(fresh)
        ]
        return {one: first + number for number, one in enumerate(fresh)}

    def _forget(self, now_ms: int) -> None:
        kept = [k for k, track in enumerate(self._tracks) if not self._is_gone(track, now_ms)]
        if len(kept) > MAX_TRACKS:
            kept = sorted(sorted(kept, key=lambda k: -self._tracks[k].seen_ms)[:MAX_TRACKS])
        if len(kept) < len(self._tracks):
            self._courses.keep(np.array(kept, np.intp))
            self._tracks = [self._tracks[k] for k in kept]

    def _is_gone(self, track: _TrackState, now_ms: int) -> bool:
        since_ms = now_ms - track.seen_ms
        return since_ms > _LONGEST_MS or (track.missed >= 2 and since_ms > self._lost_ms)

    def _tracked(self, row: int | None, aspect: float) -> TrackedBox | None:
        if row is None:
            return None
        x, y, w, h = (float(part) for part in self._courses.boxes[row])
        return TrackedBox(self._tracks[row].name, ((x - w / 2) / aspect, y - h / 2, w / aspect, h))


def _measured(found: Sequence[DetectedObject], aspect: float) -> Floats:
    """Return the boxes [M, 4] as centre and extent, in heights of the picture."""
    corners = np.array([one.box for one in found], np.float64).reshape(-1, 4)
    corners[:, 0] *= aspect
    corners[:, 2] *= aspect
    corners[:, :2] += corners[:, 2:] / 2
    return corners
