"""YOLOX: the cells of several grids in a row, [N, cells, 5 + classes].

Raw: centre = (value + cell) * stride, size = exp(value) * stride. Decoded: pixels of the input.
Score of a cell: objectness * class; both are already sigmoids.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.card import InputSpec, YoloxOutput
from vision.layouts.base import Candidates, Floats, Tensors, best_class, corners, misfit, output_of


class Yolox:
    """Decodes the cells of all grids."""

    overlapping = True
    extra_inputs = ()

    def __init__(self, spec: YoloxOutput, input_spec: InputSpec, classes: int) -> None:
        self._spec = spec
        self._classes = classes
        self.outputs = (spec.name,) if spec.name else ()
        cells, strides = [], []
        for stride in spec.strides:
            rows, columns = input_spec.height // stride, input_spec.width // stride
            down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
            cells.append(np.stack((across.ravel(), down.ravel()), axis=-1))
            strides.append(np.full((rows * columns, 1), stride, np.float32))
        self._cells: Floats = np.concatenate(cells)
        self._strides: Floats = np.concatenate(strides)

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return nothing: the pictures are the only input."""
        return {}

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return one candidate for each cell whose best class scores enough."""
        name, raw = output_of(tensors, self._spec.name)
        columns = 5 + self._classes
        cells = None if self._spec.decoded else len(self._cells)
        if raw.ndim != 3 or raw.shape[2] != columns or cells not in (None, raw.shape[1]):
            strides = "" if cells is None else f", strides {list(self._spec.strides)}"
            expected = f"[N, {cells or 'cells'}, {columns}] (5 + {self._classes} labels{strides})"
            raise misfit(name, expected, raw.shape, "yolox")
        centre, size = raw[..., 0:2], raw[..., 2:4]
        if not self._spec.decoded:
            centre = (centre + self._cells) * self._strides
            # Larger than e^20 strides cannot be a box; the bound keeps exp from overflowing.
            size = np.exp(np.minimum(size, 20)) * self._strides
        boxes = corners(centre[..., 0], centre[..., 1], size[..., 0], size[..., 1])
        return best_class(raw[..., 5:], boxes, min_score, raw[..., 4])
