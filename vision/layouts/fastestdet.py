"""FastestDet: one anchor-free grid, [N, 5 + classes, rows, columns].

Channels: objectness, dx and dy (tanh gives cell units), w and h (sigmoid gives fractions of the
picture), class scores. Score of a cell: objectness^0.6 * class^0.4.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.card import FastestDetOutput, InputSpec
from vision.layouts.base import Candidates, Tensors, best_class, corners, misfit, output_of, sigmoid


class FastestDet:
    """Decodes the grid."""

    overlapping = True
    extra_inputs = ()

    def __init__(self, spec: FastestDetOutput, input_spec: InputSpec, classes: int) -> None:
        self._spec = spec
        self._input = input_spec
        self._classes = classes
        self.outputs = (spec.name,) if spec.name else ()

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return nothing: the pictures are the only input."""
        return {}

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return one candidate for each cell whose best class scores enough."""
        name, raw = output_of(tensors, self._spec.name)
        channels = 5 + self._classes
        if raw.ndim != 4 or raw.shape[1] != channels:
            expected = f"[N, {channels}, rows, columns] (5 + {self._classes} labels)"
            raise misfit(name, expected, raw.shape, "fastestdet")
        pictures, _, rows, columns = raw.shape
        down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
        boxes = corners(
            (across + np.tanh(raw[:, 1])) / columns * self._input.width,
            (down + np.tanh(raw[:, 2])) / rows * self._input.height,
            sigmoid(raw[:, 3]) * self._input.width,
            sigmoid(raw[:, 4]) * self._input.height,
        )
        # objectness^0.6 * class^0.4 = (objectness^1.5 * class)^0.4: so only few need the power 0.4.
        objectness = np.clip(raw[:, 0], 0, 1) ** np.float32(1.5)
        scores = np.clip(raw[:, 5:], 0, 1)
        cells = rows * columns
        found = best_class(
            scores.reshape(pictures, self._classes, cells).transpose(0, 2, 1),
            boxes.reshape(pictures, cells, 4),
            min_score**2.5,
            objectness.reshape(pictures, cells),
        )
        return replace(found, scores=found.scores ** np.float32(0.4))
