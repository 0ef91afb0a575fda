"""Where boxes are going: one Kalman filter of constant speed for each, all computed at once.

Lengths are in heights of the picture, so that both directions count alike. A box is four numbers
(centre x, centre y, width, height) that move by themselves: each has a place, a speed, and how
unsure both are. Pictures come at irregular times, so the time between them is passed in.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# In units of a box's own size (the root of its area), for centre and for extent.
_SEEN = np.array([0.05, 0.05, 0.08, 0.08])
"""How far a detector's box lies off."""
_FIRST_SPEED = np.array([1.5, 1.5, 0.3, 0.3])
"""Sizes a second: how fast something may be that was seen only once."""
_CHANGE = np.array([0.6, 0.6, 0.15, 0.15])
"""Sizes a second: by how much speed changes in a second."""


class BoxFilters:
    """The filters of K boxes; row k is one of them."""

    def __init__(self) -> None:
        self.boxes: Floats = np.zeros((0, 4))
        """[K, 4]: where they are thought to be now."""
        self._speeds: Floats = np.zeros((0, 4))
        self._var_place: Floats = np.zeros((0, 4))
        self._var_both: Floats = np.zeros((0, 4))
        self._var_speed: Floats = np.zeros((0, 4))

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def sizes(self) -> Floats:
        """[K]: the root of each box's area."""
        return sizes_of(self.boxes)

    @property
    def unsure(self) -> Floats:
        """[K]: standard deviation of the centre, the larger of both directions."""
        deviations: Floats = np.sqrt(self._var_place[:, :2].max(axis=1, initial=0.0))
        return deviations

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        change = (_CHANGE * self.sizes[:, None]) ** 2
        self.boxes = self.boxes + self._speeds * seconds
        self.boxes[:, 2:] = np.maximum(self.boxes[:, 2:], 1e-4)
        self._var_place = (
            self._var_place
            + 2 * seconds * self._var_both
            + seconds**2 * self._var_speed
            + change * seconds**3 / 3
        )
        self._var_both = self._var_both + seconds * self._var_speed + change * seconds**2 / 2
        self._var_speed = self._var_speed + change * seconds

    def see(self, rows: NDArray[np.intp], boxes: Floats) -> None:
        """Learn that the boxes of `rows` are seen at `boxes` [len(rows), 4] now."""
        noise = (_SEEN * sizes_of(boxes)[:, None]) ** 2
        total = self._var_place[rows] + noise
        of_place, of_speed = self._var_place[rows] / total, self._var_both[rows] / total
        surprise = boxes - self.boxes[rows]
        self.boxes[rows] += of_place * surprise
        self._speeds[rows] += of_speed * surprise
        self._var_speed[rows] -= of_speed * self._var_both[rows]
        self._var_both[rows] *= 1 - of_place
        self._var_place[rows] *= 1 - of_place

    def begin(self, boxes: Floats) -> None:
        """Add rows for boxes that are seen for the first time."""
        sizes = sizes_of(boxes)[:, None]
        self.boxes = np.concatenate((self.boxes, boxes))
        self._speeds = np.concatenate((self._speeds, np.zeros_like(boxes)))
        self._var_place = np.concatenate((self._var_place, (_SEEN * sizes) ** 2))
        self._var_both = np.concatenate((self._var_both, np.zeros_like(boxes)))
        self._var_speed = np.concatenate((self._var_speed, (_FIRST_SPEED * sizes) ** 2))

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Forget all rows but these, in this order."""
        self.boxes, self._speeds = self.boxes[rows], self._speeds[rows]
        self._var_place, self._var_both = self._var_place[rows], self._var_both[rows]
        self._var_speed = self._var_speed[rows]


def sizes_of(boxes: Floats) -> Floats:
    """Return the root of each box's area, [K]."""
    roots: Floats = np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 1e-8))
    return roots


def buffered_iou(tracks: Floats, seen: Floats, reach: Floats) -> Floats:
    """Return [K, M]: intersection over union of boxes, each pair grown by its track's reach [K].

    What is not sure of its place is looked for around it: grown boxes overlap where bare ones of a
    thing that moved further than its own width do not.
    """
    grown = reach[:, None]
    parts = []
    for axis in (0, 1):
        half_track = tracks[:, None, axis + 2] / 2 + grown
        half_seen = seen[None, :, axis + 2] / 2 + grown
        away = np.abs(tracks[:, None, axis] - seen[None, :, axis])
        # Of two intervals: how long both are together, and where they lie over each other.
        shared = np.minimum(half_track + half_seen - away, 2 * np.minimum(half_track, half_seen))
        parts.append((np.maximum(shared, 0.0), 2 * half_track, 2 * half_seen))
    (wide, track_w, seen_w), (high, track_h, seen_h) = parts
    common = wide * high
    result: Floats = common / (track_w * track_h + seen_w * seen_h - common)
    return result
