"""Which boxes of successive pictures are one object: ByteTrack over Kalman filters.

    picture ─► high-score boxes ─► matched with all tracks ───────► unmatched ones start new tracks
            └► low-score boxes ──► matched with tracks just seen ─► unmatched ones stay untracked

ByteTrack matches in two rounds, so that an object that is half hidden (a low score) keeps its
track. Method: Zhang et al., ByteTrack (ECCV 2022). docs/design/inference.md says why this is our
own code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision.assignment import assign
from vision.detector import Box, DetectedObject
from vision.kalman import BoxFilters, Floats, buffered_iou

_MIN_IOU_HIGH_SCORE = 0.2
_MIN_IOU_LOW_SCORE = 0.4
"""Buffered IoU that makes a pair possible, in the first and the second round."""
_MAX_LOST_MS = 60_000
"""No track outlives this, however rarely a picture is analysed."""
MAX_TRACKS = 1_000


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """What is known of one box of the newest picture."""

    track: str
    """Links boxes of one object; unique within its run."""
    box: Box
    """Smoothed, as fractions of the picture; to judge movement, not to show."""


@dataclass(slots=True)
class _TrackState:
    name: str
    label: str
    seen_ms: int
    missed: int = 0
    """Pictures in a row without a box of this track."""


class Tracker:
    """Tracks the objects of one run of one camera; times are passed in."""

    def __init__(self, *, high_score: float = 0.5, lost_ms: int = 3_000) -> None:
        """`high_score`: least score that starts a track; `lost_ms`: how long a lost track lives.

        A track is searched in two pictures at least, however late those come.
        """
        self._high_score = high_score
        self._lost_ms = lost_ms
        self._filters = BoxFilters()
        self._tracks: list[_TrackState] = []
        """Row k of the filters is track k."""
        self._now_ms: int | None = None

    def update(
        self, found: Sequence[DetectedObject], *, pts: int, at_ms: int, aspect: float
    ) -> list[TrackedBox | None]:
        """Return the track of each box; None for a low-score box without one.

        found: all boxes of the picture; pts: of the run, names new tracks; at_ms: its time;
        aspect: width by height of the picture in pixels.
        """
        elapsed_ms = 0 if self._now_ms is None else max(0, at_ms - self._now_ms)
        self._now_ms = at_ms
        self._filters.predict(elapsed_ms / 1e3)
        self._drop_lost(at_ms)
        boxes = _centre_and_extent(found, aspect)
        high = np.flatnonzero([one.score >= self._high_score for one in found])
        low = np.flatnonzero([one.score < self._high_score for one in found])
        all_tracks = np.arange(len(self._tracks))
        rows = self._match(all_tracks, high, found, boxes, _MIN_IOU_HIGH_SCORE)
        matched = set(rows.values())
        just_seen = [k for k in all_tracks if k not in matched and not self._tracks[k].missed]
        rows |= self._match(np.array(just_seen, np.intp), low, found, boxes, _MIN_IOU_LOW_SCORE)
        for track in self._tracks:
            track.missed += 1
        if rows:
            self._filters.update(np.array([*rows.values()], np.intp), boxes[[*rows]])
        unmatched = [int(one) for one in high if one not in rows]
        if unmatched:
            rows |= self._start_tracks(unmatched, found, boxes, pts, at_ms)
        for row in rows.values():
            self._tracks[row].seen_ms = at_ms
            self._tracks[row].missed = 0
        return [self._tracked_box(rows.get(one), aspect) for one in range(len(found))]

    def _match(
        self,
        rows: NDArray[np.intp],
        chosen: NDArray[np.intp],
        found: Sequence[DetectedObject],
        boxes: Floats,
        min_iou: float,
    ) -> dict[int, int]:
        """Return box -> track for the best pairs of `rows` (tracks) and `chosen` (boxes)."""
        if not len(rows) or not len(chosen):
            return {}
        filters = self._filters
        buffers = np.minimum(filters.position_std, filters.sizes)[rows]
        similarity = buffered_iou(filters.boxes[rows], boxes[chosen], buffers)
        # An object keeps its label: other pairs are impossible.
        labels = np.array([self._tracks[row].label for row in rows])
        others = np.array([found[one].label for one in chosen])
        similarity[labels[:, None] != others[None, :]] = 0.0
        return {int(chosen[c]): int(rows[r]) for r, c in assign(similarity, min_iou)}

    def _start_tracks(
        self,
        unmatched: list[int],
        found: Sequence[DetectedObject],
        boxes: Floats,
        pts: int,
        at_ms: int,
    ) -> dict[int, int]:
        """Start a track for each of these boxes; return box -> track."""
        first = len(self._tracks)
        self._filters.add(boxes[unmatched])
        # The name holds the picture's own time in its run. So a worker that starts in the middle
        # of a run, or two that analyse it in parallel, give no name twice.
        self._tracks += [
            _TrackState(f"{pts:x}-{number}", found[one].label, at_ms)
            for number, one in enumerate(unmatched)
        ]
        return {one: first + number for number, one in enumerate(unmatched)}

    def _drop_lost(self, now_ms: int) -> None:
        kept = [k for k, track in enumerate(self._tracks) if not self._is_lost(track, now_ms)]
        if len(kept) > MAX_TRACKS:
            kept = sorted(sorted(kept, key=lambda k: -self._tracks[k].seen_ms)[:MAX_TRACKS])
        if len(kept) < len(self._tracks):
            self._filters.keep(np.array(kept, np.intp))
            self._tracks = [self._tracks[k] for k in kept]

    def _is_lost(self, track: _TrackState, now_ms: int) -> bool:
        since_ms = now_ms - track.seen_ms
        return since_ms > _MAX_LOST_MS or (track.missed >= 2 and since_ms > self._lost_ms)

    def _tracked_box(self, row: int | None, aspect: float) -> TrackedBox | None:
        if row is None:
            return None
        x, y, w, h = (float(part) for part in self._filters.boxes[row])
        return TrackedBox(self._tracks[row].name, ((x - w / 2) / aspect, y - h / 2, w / aspect, h))


def _centre_and_extent(found: Sequence[DetectedObject], aspect: float) -> Floats:
    """Return the boxes [M, 4] as centre and extent, in heights of the picture."""
    corners = np.array([one.box for one in found], np.float64).reshape(-1, 4)
    corners[:, 0] *= aspect
    corners[:, 2] *= aspect
    corners[:, :2] += corners[:, 2:] / 2
    return corners
