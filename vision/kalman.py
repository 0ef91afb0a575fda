"""Where boxes are and where they move: one Kalman filter per box, all computed at once.

Each filter assumes constant velocity. Lengths are in heights of the picture, so that both
directions count alike. A box is four numbers (centre x, centre y, width, height) that move
independently. Each has a position, a velocity, and the variance of both. Pictures come at irregular
times, so the time between them is passed in.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# In units of a box's own size (the root of its area), for centre and for extent.
_MEASUREMENT_STD = np.array([0.05, 0.05, 0.08, 0.08])
"""Error of a detector's box."""
_INITIAL_VELOCITY_STD = np.array([1.5, 1.5, 0.3, 0.3])
"""Sizes a second: how fast an object may be that was seen only once."""
_PROCESS_STD = np.array([0.6, 0.6, 0.15, 0.15])
"""Sizes a second: by how much velocity changes in a second."""
_MIN_EXTENT = 1e-4


class BoxFilters:
    """The filters of K boxes; row k is one of them."""

    def __init__(self) -> None:
        self.boxes: Floats = np.zeros((0, 4))
        """[K, 4]: the estimate of where they are now."""
        self._velocities: Floats = np.zeros((0, 4))
        # The covariance matrix of each number: [[var, cov], [cov, var]].
        self._var_position: Floats = np.zeros((0, 4))
        self._covariance: Floats = np.zeros((0, 4))
        self._var_velocity: Floats = np.zeros((0, 4))

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def sizes(self) -> Floats:
        """[K]: the root of each box's area."""
        return sizes_of(self.boxes)

    @property
    def position_std(self) -> Floats:
        """[K]: standard deviation of the centre, the larger of both directions."""
        deviations: Floats = np.sqrt(self._var_position[:, :2].max(axis=1, initial=0.0))
        return deviations

    def predict(self, seconds: float) -> None:
        """Move all boxes on by a time (the filter's prediction step)."""
        process_variance = (_PROCESS_STD * self.sizes[:, None]) ** 2
        self.boxes = self.boxes + self._velocities * seconds
        self.boxes[:, 2:] = np.maximum(self.boxes[:, 2:], _MIN_EXTENT)
        self._var_position = (
            self._var_position
            + 2 * seconds * self._covariance
            + seconds**2 * self._var_velocity
            + process_variance * seconds**3 / 3
        )
        self._covariance = (
            self._covariance + seconds * self._var_velocity + process_variance * seconds**2 / 2
        )
        self._var_velocity = self._var_velocity + process_variance * seconds

    def update(self, rows: NDArray[np.intp], measured: Floats) -> None:
        """Correct `rows` by the boxes measured now, [len(rows), 4] (the update step)."""
        noise = (_MEASUREMENT_STD * sizes_of(measured)[:, None]) ** 2
        innovation_variance = self._var_position[rows] + noise
        position_gain = self._var_position[rows] / innovation_variance
        velocity_gain = self._covariance[rows] / innovation_variance
        innovation = measured - self.boxes[rows]
        self.boxes[rows] += position_gain * innovation
        self._velocities[rows] += velocity_gain * innovation
        # Velocity first: it needs the covariance from before.
        self._var_velocity[rows] -= velocity_gain * self._covariance[rows]
        self._covariance[rows] *= 1 - position_gain
        self._var_position[rows] *= 1 - position_gain

    def add(self, boxes: Floats) -> None:
        """Add rows for boxes that are seen for the first time."""
        sizes = sizes_of(boxes)[:, None]
        self.boxes = np.concatenate((self.boxes, boxes))
        self._velocities = np.concatenate((self._velocities, np.zeros_like(boxes)))
        self._var_position = np.concatenate((self._var_position, (_MEASUREMENT_STD * sizes) ** 2))
        self._covariance = np.concatenate((self._covariance, np.zeros_like(boxes)))
        self._var_velocity = np.concatenate(
            (self._var_velocity, (_INITIAL_VELOCITY_STD * sizes) ** 2)
        )

    def keep(self, rows: NDArray[np.intp]) -> None:
        """Drop all rows but these, in this order."""
        self.boxes = self.boxes[rows]
        self._velocities = self._velocities[rows]
        self._var_position = self._var_position[rows]
        self._covariance = self._covariance[rows]
        self._var_velocity = self._var_velocity[rows]


def sizes_of(boxes: Floats) -> Floats:
    """Return the root of each box's area, [K]."""
    roots: Floats = np.sqrt(np.maximum(boxes[:, 2] * boxes[:, 3], 1e-8))
    return roots


def buffered_iou(tracks: Floats, boxes: Floats, buffers: Floats) -> Floats:
    """Return [K, M]: intersection over union, both boxes expanded by their track's buffer [K].

    tracks [K, 4], boxes [M, 4]: centre and extent. An object that moved further than its own width
    no longer overlaps with its last box; the expanded boxes do. The less certain a track's position
    is, the larger its buffer.
    """
    buffer = buffers[:, None]
    parts = []
    for axis in (0, 1):
        half_track = tracks[:, None, axis + 2] / 2 + buffer
        half_box = boxes[None, :, axis + 2] / 2 + buffer
        distance = np.abs(tracks[:, None, axis] - boxes[None, :, axis])
        # Two intervals overlap by their half lengths less the distance, but by no more than the
        # shorter one.
        shared = np.minimum(half_track + half_box - distance, 2 * np.minimum(half_track, half_box))
        parts.append((np.maximum(shared, 0.0), 2 * half_track, 2 * half_box))
    (shared_w, track_w, box_w), (shared_h, track_h, box_h) = parts
    intersection = shared_w * shared_h
    result: Floats = intersection / (track_w * track_h + box_w * box_h - intersection)
    return result
