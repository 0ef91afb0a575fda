"""The interface of detectors: pictures in, objects out. No clock, no file, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BgrImage = NDArray[np.uint8]
"""One picture: height x width x 3; blue, green, red."""

Box = tuple[float, float, float, float]
"""x, y, width, height as fractions of the picture, from its top left."""


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """One object in one picture."""

    label: str
    score: float
    """0..1; comparable only within one model version."""
    box: Box
    """Clipped to the picture."""


class Detector(Protocol):
    """Finds objects in pictures; one instance serves one thread."""

    @property
    def model(self) -> str:
        """Name of the model."""

    @property
    def model_version(self) -> str:
        """Version of the model; other weights or thresholds are another version."""

    @property
    def provider(self) -> str:
        """The execution provider that computes; it may differ from the one that was asked for."""

    @property
    def batch(self) -> int:
        """Most pictures that one call computes at once, at least 1."""

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to which it scales a picture of this size itself.

        A caller that scales the picture first has less data to copy.
        """

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        """Return the objects of each picture, best score first; pictures may differ in size.

        Raises ModelError when the model cannot compute.
        """


@runtime_checkable
class StagedDetector(Protocol):
    """A detector whose three steps may run in threads of their own, each on another batch.

    Double buffering: at most two batches may be preprocessed and not inferred, including the one
    that the model computes now.
    """

    def preprocess(self, pictures: Sequence[BgrImage]) -> Any:
        """Return at most `batch` pictures as the input of `infer`."""

    def infer(self, preprocessed: Any) -> Any:
        """Compute a batch by the model; raises ModelError."""

    def postprocess(self, output: Any) -> list[list[DetectedObject]]:
        """Return the objects of each picture, as `detect` does; raises ModelError."""


def clip(x1: float, y1: float, x2: float, y2: float) -> Box | None:
    """Return the part of a box within the picture; None where nothing is left.

    The box is given by two corners as fractions of the picture.

    Corners are rounded to 1e-6, so that x + width never passes 1.
    """
    left, top = (round(min(max(v, 0.0), 1.0), 6) for v in (x1, y1))
    right, bottom = (round(min(max(v, 0.0), 1.0), 6) for v in (x2, y2))
    if right <= left or bottom <= top:
        return None
    return left, top, round(right - left, 6), round(bottom - top, 6)
