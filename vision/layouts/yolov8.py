"""YOLOv8 and YOLO11: [N, 4 + classes, cells], centre and size in pixels of the input."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.card import InputSpec, Yolov8Output
from vision.layouts.base import Candidates, Tensors, best_class, corners, misfit, output_of


class Yolov8:
    """Decodes the cells."""

    overlapping = True
    extra_inputs = ()

    def __init__(self, spec: Yolov8Output, input_spec: InputSpec, classes: int) -> None:
        self._spec = spec
        self._classes = classes
        self.outputs = (spec.name,) if spec.name else ()
        fractions = spec.units == "fractions"
        self._across = np.float32(input_spec.width if fractions else 1)
        self._down = np.float32(input_spec.height if fractions else 1)

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return nothing: the pictures are the only input."""
        return {}

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return one candidate for each cell whose best class scores enough."""
        name, raw = output_of(tensors, self._spec.name)
        columns = 4 + self._classes
        axis = 2 if self._spec.transposed else 1
        if raw.ndim != 3 or raw.shape[axis] != columns:
            shape = ["N", "cells", "cells"]
            shape[axis] = str(columns)
            expected = f"[{', '.join(shape)}] (4 + {self._classes} labels)"
            raise misfit(name, expected, raw.shape, "yolov8")
        cells = raw if self._spec.transposed else raw.transpose(0, 2, 1)
        boxes = corners(
            cells[..., 0] * self._across,
            cells[..., 1] * self._down,
            cells[..., 2] * self._across,
            cells[..., 3] * self._down,
        )
        return best_class(cells[..., 4:], boxes, min_score)
