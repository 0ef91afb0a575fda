"""Preprocessing: pictures to a model's input tensor, and the model's boxes back to pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.card import InputSpec
from vision.detector import BgrImage, Box, clip


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture is within the input, in pixels of the input."""

    left: int
    top: int
    width: int
    height: int

    def box(self, x1: float, y1: float, x2: float, y2: float) -> Box | None:
        """Return a box of input pixels as clipped fractions of the picture; None: it is outside."""
        return clip(
            (x1 - self.left) / self.width,
            (y1 - self.top) / self.height,
            (x2 - self.left) / self.width,
            (y2 - self.top) / self.height,
        )


def place(spec: InputSpec, width: int, height: int) -> Placement:
    """Return where to draw a picture of `width` x `height` pixels."""
    if spec.resize == "stretch":
        return Placement(0, 0, spec.width, spec.height)
    ratio = min(spec.width / width, spec.height / height)
    across = min(spec.width, max(1, round(width * ratio)))
    down = min(spec.height, max(1, round(height * ratio)))
    if spec.align == "top-left":
        return Placement(0, 0, across, down)
    return Placement((spec.width - across) // 2, (spec.height - down) // 2, across, down)


class Preprocessor:
    """Fills one model's input. It reuses its buffers, so it is for one thread."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._shape = (3, spec.height, spec.width)
        if spec.layout == "NHWC":
            self._shape = (spec.height, spec.width, 3)
        self._tensor: NDArray[Any] = np.zeros((0, *self._shape), spec.dtype)
        self._canvas: BgrImage = np.empty((spec.height, spec.width, 3), np.uint8)
        self._placed: Placement | None = None
        # Blue, green, red.
        self._planes = [np.empty((spec.height, spec.width), np.uint8) for _ in range(3)]
        self._values: NDArray[np.float32] = np.empty((spec.height, spec.width), np.float32)
        # (value * scale - mean) / std is value * factor + shift; in the order of `colour`.
        self._factors = [spec.scale / std for std in spec.std]
        self._shifts = [-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)]

    def to_tensor(
        self, pictures: Sequence[BgrImage], *, min_rows: int = 0
    ) -> tuple[NDArray[Any], list[Placement]]:
        """Return the input tensor of all pictures, and where each of them is in it.

        The tensor has at least `min_rows` rows; those after the pictures are padding. The next
        call overwrites it.
        """
        rows = max(len(pictures), min_rows)
        if rows > len(self._tensor):
            self._tensor = np.zeros((rows, *self._shape), self._spec.dtype)
        placements = []
        for target, picture in zip(self._tensor, pictures, strict=False):
            placements.append(self._draw(picture))
            self._convert(target)
        return self._tensor[:rows], placements

    def _draw(self, picture: BgrImage) -> Placement:
        """Draw a picture onto the canvas, scaled."""
        at = place(self._spec, picture.shape[1], picture.shape[0])
        if at != self._placed:
            self._canvas[:] = self._spec.fill
            self._placed = at
        shrinks = at.width < picture.shape[1]
        cv2.resize(
            picture,
            (at.width, at.height),
            dst=self._canvas[at.top : at.top + at.height, at.left : at.left + at.width],
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        return at

    def _convert(self, target: NDArray[Any]) -> None:
        """Convert the canvas to one row of the tensor, channel by channel."""
        spec = self._spec
        cv2.split(self._canvas, self._planes)
        planes = self._planes if spec.colour == "BGR" else self._planes[::-1]
        for channel, plane in enumerate(planes):
            row = target[channel] if spec.layout == "NCHW" else target[..., channel]
            if spec.dtype == "uint8":
                row[:] = plane
            elif spec.dtype == "float32" and spec.layout == "NCHW":
                self._scale(plane, channel, row)
            else:
                self._scale(plane, channel, self._values)
                row[:] = self._values

    def _scale(self, plane: NDArray[np.uint8], channel: int, row: NDArray[Any]) -> None:
        # OpenCV's fastest way from bytes to floats; the second picture has the weight 0.
        factor, shift = self._factors[channel], self._shifts[channel]
        cv2.addWeighted(plane, factor, plane, 0, shift, dst=row, dtype=cv2.CV_32F)
