"""What every detector is: pictures in, objects out. No clock, no file, no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

BgrImage = NDArray[np.uint8]
"""One picture: height x width x 3, blue green red."""

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
        """What computes: an execution provider's name, as it was really got."""

    @property
    def batch(self) -> int:
        """Most pictures that are worth handing over at once, at least 1."""

    def useful_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the width and height to which it brings a picture of this size itself.

        Whoever brings it to that size before has less to carry about.
        """

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        """Return what each picture shows, best score first; pictures may differ in size.

        Raises ModelError when the model cannot compute.
        """


@runtime_checkable
class StagedDetector(Protocol):
    """A detector whose three steps may run in threads of their own, each at another batch.

    At most two batches may be prepared and not yet computed, that at work among them.
    """

    def prepare(self, pictures: Sequence[BgrImage]) -> Any:
        """Return at most `batch` pictures as `compute` takes them."""

    def compute(self, prepared: Any) -> Any:
        """Let the model compute a batch; raises ModelError."""

    def read(self, computed: Any) -> list[list[DetectedObject]]:
        """Return what each picture shows, as `detect` does; raises ModelError."""


def clip(x1: float, y1: float, x2: float, y2: float) -> Box | None:
    """Return the box within the picture of two corners in fractions; None where nothing is left.

    Corners are rounded to 1e-6, so that x + width never passes 1.
    """
    left, top = (round(min(max(v, 0.0), 1.0), 6) for v in (x1, y1))
    right, bottom = (round(min(max(v, 0.0), 1.0), 6) for v in (x2, y2))
    if right <= left or bottom <= top:
        return None
    return left, top, round(right - left, 6), round(bottom - top, 6)
