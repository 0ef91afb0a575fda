"""Pictures into a model's input, and the model's boxes back onto the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.card import InputSpec
from vision.detector import Box, Picture, clip


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies within the input, in pixels of the input."""

    left: int
    top: int
    width: int
    height: int

    def box(self, x1: float, y1: float, x2: float, y2: float) -> Box | None:
        """Return a box of input pixels as clipped fractions of the picture, None if outside."""
        return clip(
            (x1 - self.left) / self.width,
            (y1 - self.top) / self.height,
            (x2 - self.left) / self.width,
            (y2 - self.top) / self.height,
        )


def place(spec: InputSpec, width: int, height: int) -> Placement:
    """Return where a picture of `width` x `height` pixels is put."""
    if spec.resize == "stretch":
        return Placement(0, 0, spec.width, spec.height)
    ratio = min(spec.width / width, spec.height / height)
    across = min(spec.width, max(1, round(width * ratio)))
    down = min(spec.height, max(1, round(height * ratio)))
    if spec.align == "top-left":
        return Placement(0, 0, across, down)
    return Placement((spec.width - across) // 2, (spec.height - down) // 2, across, down)


def prepare(
    spec: InputSpec, pictures: Sequence[Picture]
) -> tuple[NDArray[np.generic], list[Placement]]:
    """Return the input tensor of all pictures and where each of them lies in it."""
    canvas = np.full((len(pictures), spec.height, spec.width, 3), spec.fill, dtype=np.uint8)
    placements = []
    for target, picture in zip(canvas, pictures, strict=True):
        at = place(spec, picture.shape[1], picture.shape[0])
        shrinks = at.width < picture.shape[1]
        target[at.top : at.top + at.height, at.left : at.left + at.width] = cv2.resize(
            picture,
            (at.width, at.height),
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )
        placements.append(at)
    if spec.colour == "RGB":
        canvas = canvas[..., ::-1]
    tensor: NDArray[np.generic] = canvas
    if spec.dtype != "uint8":
        # (value * scale - mean) / std, folded into one multiplication and one addition.
        std = np.asarray(spec.std, np.float32)
        factor = np.float32(spec.scale) / std
        offset = -np.asarray(spec.mean, np.float32) / std
        values = canvas.astype(np.float32)
        values *= factor
        if any(spec.mean):
            values += offset
        tensor = values.astype(np.float16) if spec.dtype == "float16" else values
    if spec.layout == "NCHW":
        tensor = tensor.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(tensor), placements
