"""The motion gate: only pictures with motion pass. Times are passed in; there is no clock here.

fraction of the small picture that moved
start ─────────╭──╮──────────────────
stop  ───────╭─╯──╰──╮───────────────
             │       │← hold_ms →│
gate  shut   │ open              shut
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.detector import BgrImage
from vision.resize import GreyImage

WIDTH = 320
"""Pixels of the small picture; a person of a sixtieth of the width still covers several."""

Polygon = Sequence[tuple[float, float]]
"""Corners as fractions of the picture."""


@dataclass(frozen=True, slots=True)
class Motion:
    """The gate's decision on one picture."""

    open: bool
    """Whether the picture passes."""
    fraction: float
    """Share of the unmasked picture that moved, 0..1."""
    warm: bool
    """False while the gate still learns the background; it is open then."""


def small_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the small picture for one of `width` x `height` pixels."""
    return WIDTH, max(8, round(WIDTH * height / width))


class MotionGate:
    """Opens on motion, shuts after a while without; one per camera."""

    def __init__(
        self,
        *,
        start: float = 0.002,
        stop: float = 0.001,
        hold_ms: int = 2_000,
        warmup_ms: int = 3_000,
        masks: Sequence[Polygon] = (),
    ) -> None:
        """`start` >= `stop` are shares of the picture; motion within `masks` does not count."""
        self._start = start
        self._stop = stop
        self._hold_ms = hold_ms
        self._warmup_ms = warmup_ms
        self._masks = masks
        self._size: tuple[int, int] | None = None
        self._background: cv2.BackgroundSubtractorMOG2
        self._unmasked: NDArray[np.uint8]
        self._started_ms = 0
        self._open = False
        self._moved_ms = 0

    def update(self, picture: BgrImage, at_ms: int) -> Motion:
        """Learn from the picture taken at `at_ms` (ms, never falling within a run) and decide."""
        size = small_size(picture.shape[1], picture.shape[0])
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return self.update_grey(
            np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8), at_ms
        )

    def update_grey(self, small: GreyImage, at_ms: int) -> Motion:
        """Do as `update`, for a grey picture that has its `small_size` already."""
        size = small.shape[1], small.shape[0]
        if self._size != size or at_ms < self._started_ms:
            self._restart(size, at_ms)
        moved = self._background.apply(cv2.GaussianBlur(small, (3, 3), 0))
        # Morphological opening removes single pixels of noise.
        solid = np.asarray((moved > 0) & (self._unmasked > 0), np.uint8)
        solid = np.asarray(cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)))
        fraction = float(np.count_nonzero(solid)) / max(1, int(np.count_nonzero(self._unmasked)))
        if at_ms - self._started_ms < self._warmup_ms:
            return Motion(True, fraction, False)
        return Motion(self._decide(fraction, at_ms), fraction, True)

    def _decide(self, fraction: float, at_ms: int) -> bool:
        if fraction >= self._start or (self._open and fraction >= self._stop):
            self._open = True
            self._moved_ms = at_ms
        elif at_ms - self._moved_ms > self._hold_ms:
            self._open = False
        return self._open

    def _restart(self, size: tuple[int, int], at_ms: int) -> None:
        self._size = size
        self._started_ms = at_ms
        self._open = False
        self._moved_ms = at_ms
        # Without colour, a dark coat and a shadow are the same: both are motion.
        self._background = cv2.createBackgroundSubtractorMOG2(
            history=300, varThreshold=25, detectShadows=False
        )
        self._unmasked = np.ones((size[1], size[0]), np.uint8)
        for polygon in self._masks:
            corners = np.asarray(polygon, np.float64) * np.asarray(size, np.float64)
            cv2.fillPoly(self._unmasked, [np.rint(corners).astype(np.int32)], [0])
