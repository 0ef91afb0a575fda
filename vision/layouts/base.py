"""The interface of layouts, and the error for tensors that do not fit the card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from domain.errors import ModelError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes of a whole batch whose score is high enough, before NMS; row k is one box."""

    picture: Ints
    """[K]: which picture of the batch."""
    boxes: Floats
    """[K, 4]: x1, y1, x2, y2 in pixels of the input."""
    scores: Floats
    """[K]: 0..1."""
    labels: Ints
    """[K]: index of the class."""


class Layout(Protocol):
    """Decodes the output of one family of models; knows shapes, not files or sessions."""

    @property
    def overlapping(self) -> bool:
        """Whether one object may have several boxes, so that NMS is needed."""

    @property
    def extra_inputs(self) -> Sequence[str]:
        """Names of inputs other than the pictures."""

    @property
    def outputs(self) -> Sequence[str]:
        """Names of the outputs that the model must have; empty: the first output."""

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return the values of the extra inputs for a batch."""

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return the candidates; raises ModelError when a tensor does not fit the card."""


def output_of(tensors: Tensors, name: str | None) -> tuple[str, Floats]:
    """Return the output of this name, or the first one; float16 becomes float32."""
    chosen = name or next(iter(tensors))
    return chosen, tensors[chosen].astype(np.float32, copy=False)


def misfit(name: str, expected: str, found: Sequence[int], layout: str) -> ModelError:
    """Return the error for an output whose shape does not fit the layout."""
    return ModelError(
        f"Output {name!r}: layout {layout} expects {expected}, the model gives {list(found)}. "
        "Correct the card's output, input size or labels."
    )


def corners(cx: Floats, cy: Floats, w: Floats, h: Floats) -> Floats:
    """Return [..., 4] corners of boxes given by centre and size."""
    return np.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), axis=-1)


def best_class(
    class_scores: Floats, boxes: Floats, min_score: float, objectness: Floats | None = None
) -> Candidates:
    """Return the best class of each cell: [N, cells, classes] scores, [N, cells, 4] corners."""
    scores = class_scores.max(axis=-1)
    if objectness is not None:
        scores = scores * objectness
    picture, cell = np.nonzero(scores >= min_score)
    return Candidates(
        picture.astype(np.int64),
        boxes[picture, cell],
        scores[picture, cell],
        # Only for the few that score enough: the class of every cell would take far longer.
        class_scores[picture, cell].argmax(axis=-1).astype(np.int64),
    )


def sigmoid(values: Floats) -> Floats:
    """Return the logistic function without overflow."""
    result: Floats = (0.5 * (1.0 + np.tanh(0.5 * values))).astype(np.float32)
    return result
