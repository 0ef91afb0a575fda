"""The built-in default, which needs no file: OpenCV's HOG people detector.

HOG: histograms of oriented gradients. It finds people of 96 pixels and more, so small pictures are
enlarged 1.7 times. Large ones are scaled to the same working width, which bounds the cost (0.1 to
0.3 s a picture on one core).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detector import BgrImage, DetectedObject, clip
from vision.metrics import set_detector_info

ENLARGE = 1.7
WORK_WIDTH = 1306
"""Pixels; 1.7 times 768."""

_SCALE_STEP = 1.2
_STRIDE = 8
_OVERLAP = 0.4
_CONTAINED = 0.75
# A real person gives hits at several places and scales; a chance match gives one.
_MIN_HITS = 2
_MIN_WEIGHT = 0.3
# The window of 64 x 128 holds a person of about 32 x 96 in its middle, and a margin around.
_MARGIN_X = 0.22
_MARGIN_TOP = 0.11
_MARGIN_BOTTOM = 0.12

Boxes = NDArray[np.float64]


class HogPeopleDetector:
    """Finds people who are upright; for one thread at a time."""

    model = "hog-people"
    model_version = "1"
    provider = "OpenCV"
    batch = 1

    def __init__(self, *, threads: int = 1) -> None:
        """Load the detector; `threads` limits OpenCV's threads in this whole process."""
        cv2.setNumThreads(threads)
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))
        set_detector_info(self.model, self.model_version, self.provider)

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the working size of a large picture; small ones are enlarged here, not before."""
        if width <= WORK_WIDTH:
            return width, height
        return WORK_WIDTH, max(1, round(height * WORK_WIDTH / width))

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        """Return the people of each picture, best score first; see vision.detector."""
        return [self._people(picture) for picture in pictures]

    def _people(self, picture: BgrImage) -> list[DetectedObject]:
        ratio = min(ENLARGE, WORK_WIDTH / picture.shape[1])
        size = (round(picture.shape[1] * ratio), round(picture.shape[0] * ratio))
        window_width, window_height = self._hog.winSize
        if size[0] < window_width or size[1] < window_height:
            return []  # smaller than the detector's window
        scaled = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        found, weights = self._hog.detectMultiScale(
            scaled,
            hitThreshold=0.0,
            winStride=(_STRIDE, _STRIDE),
            padding=(8, 8),
            scale=_SCALE_STEP,
            groupThreshold=0,
        )
        boxes = np.asarray(found, np.float64).reshape(-1, 4)
        people = []
        for box, weight in group_detections(boxes, np.asarray(weights, np.float64).reshape(-1)):
            x, y, w, h = box
            within = clip(
                (x + w * _MARGIN_X) / size[0],
                (y + h * _MARGIN_TOP) / size[1],
                (x + w * (1 - _MARGIN_X)) / size[0],
                (y + h * (1 - _MARGIN_BOTTOM)) / size[1],
            )
            if within is not None:
                score = round(float(1 / (1 + np.exp(-weight))), 4)
                people.append(DetectedObject("person", score, within))
        return people


def group_detections(boxes: Boxes, weights: Boxes) -> list[tuple[Boxes, float]]:
    """Return one (box, weight) for each person, best first.

    boxes [K, 4]: x, y, w, h. weights [K]: distance from the classifier's plane. This is a
    non-maximum suppression that averages: boxes that overlap the best one, or lie mostly within
    it, are its hits. Their weighted mean is the person.
    """
    if not len(boxes):
        return []
    left, top = boxes[:, 0], boxes[:, 1]
    right, bottom = left + boxes[:, 2], top + boxes[:, 3]
    area = boxes[:, 2] * boxes[:, 3]
    free = np.ones(len(boxes), bool)
    people = []
    for best in np.argsort(-weights, kind="stable"):
        if not free[best]:
            continue
        across = np.minimum(right, right[best]) - np.maximum(left, left[best])
        down = np.minimum(bottom, bottom[best]) - np.maximum(top, top[best])
        shared = np.clip(across, 0, None) * np.clip(down, 0, None)
        overlap = shared / (area + area[best] - shared)
        contained = shared / np.minimum(area, area[best])
        hits = free & ((overlap > _OVERLAP) | (contained > _CONTAINED))
        free &= ~hits
        weight = float(weights[best])
        if hits.sum() >= _MIN_HITS and weight >= _MIN_WEIGHT:
            share = weights[hits, None]
            people.append(((boxes[hits] * share).sum(axis=0) / share.sum(), weight))
    return people
