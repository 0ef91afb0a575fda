"""End-to-end models: non-maximum suppression (NMS) is part of the model.

rows: [N, max, 6], padded with rows of zeros. four: count [N] or [N, 1], boxes [N, max, 4], scores
[N, max], classes [N, max]. flat: [M, 7] for the whole batch; one column is the picture.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.card import InputSpec, NmsOutput
from vision.layouts.base import Candidates, Floats, Ints, Tensors, misfit, output_of


class EndToEnd:
    """Decodes all three forms of output."""

    overlapping = False
    extra_inputs = ()

    def __init__(self, spec: NmsOutput, input_spec: InputSpec, classes: int) -> None:
        self._spec = spec
        across, down = (
            (input_spec.width, input_spec.height) if spec.units == "fractions" else (1, 1)
        )
        self._unit = np.asarray([across, down, across, down], np.float32)
        if spec.form == "four":
            self.outputs: tuple[str, ...] = (spec.count, spec.boxes, spec.scores, spec.classes)
        else:
            self.outputs = (spec.name,) if spec.name else ()

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return nothing: the pictures are the only input."""
        return {}

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return the model's own boxes, without those that score too little."""
        if self._spec.form == "four":
            return self._decode_four(tensors, min_score)
        name, raw = output_of(tensors, self._spec.name)
        columns = len(self._spec.order)
        if self._spec.form == "flat":
            if raw.ndim != 2 or raw.shape[1] != columns:
                raise misfit(name, f"[M, {columns}]", raw.shape, "nms, form flat")
            picture = raw[:, self._spec.order.index("batch")].astype(np.int64)
            return self._rows(raw, picture, min_score)
        if raw.ndim != 3 or raw.shape[2] != columns:
            raise misfit(name, f"[N, max, {columns}]", raw.shape, "nms, form rows")
        picture = np.repeat(np.arange(raw.shape[0], dtype=np.int64), raw.shape[1])
        return self._rows(raw.reshape(-1, columns), picture, min_score)

    def _rows(self, rows: Floats, picture: Ints, min_score: float) -> Candidates:
        column = {name: at for at, name in enumerate(self._spec.order)}
        boxes = rows[:, [column[name] for name in ("x1", "y1", "x2", "y2")]] * self._unit
        labels = rows[:, column["label"]].astype(np.int64)
        return _candidates(picture, boxes, rows[:, column["score"]], labels, min_score)

    def _decode_four(self, tensors: Tensors, min_score: float) -> Candidates:
        spec = self._spec
        boxes = tensors[spec.boxes].astype(np.float32, copy=False)
        if boxes.ndim != 3 or boxes.shape[2] != 4:
            raise misfit(spec.boxes, "[N, max, 4]", boxes.shape, "nms, form four")
        pictures, max_boxes = boxes.shape[:2]
        for name in (spec.scores, spec.classes):
            if tensors[name].shape != (pictures, max_boxes):
                expected = f"[N, max] like the boxes' {[pictures, max_boxes]}"
                raise misfit(name, expected, tensors[name].shape, "nms, form four")
        count = tensors[spec.count].astype(np.int64).reshape(-1)
        if len(count) != pictures:
            raise misfit(spec.count, "[N] or [N, 1]", tensors[spec.count].shape, "nms, form four")
        if spec.corners == "yxyx":
            boxes = boxes[..., [1, 0, 3, 2]]
        picture, row = np.nonzero(np.arange(max_boxes)[None] < count[:, None])
        scores = tensors[spec.scores].astype(np.float32, copy=False)[picture, row]
        labels = tensors[spec.classes].astype(np.int64)[picture, row]
        chosen = boxes[picture, row] * self._unit
        return _candidates(picture.astype(np.int64), chosen, scores, labels, min_score)


def _candidates(
    picture: Ints, boxes: Floats, scores: Floats, labels: Ints, min_score: float
) -> Candidates:
    # Padding rows have no area; some models pad with a label of -1.
    area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    keep = area & (scores >= min_score) & (labels >= 0) & (picture >= 0)
    return Candidates(picture[keep], boxes[keep], scores[keep], labels[keep])
