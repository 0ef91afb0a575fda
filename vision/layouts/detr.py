"""DETR and its family (RT-DETR, D-FINE, DEIM): a set of boxes that needs no suppression.

sized: the model takes a size and gives labels [N, Q], scores [N, Q] and boxes [N, Q, 4]. The boxes
are corners in pixels of that size; here it is the input's.
raw: logits [N, Q, classes] and boxes [N, Q, 4], centre and size as fractions of the input.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.card import DetrOutput, InputSpec
from vision.layouts.base import Candidates, Floats, Tensors, corners, misfit, sigmoid


class Detr:
    """Decodes both forms of output."""

    overlapping = False

    def __init__(self, spec: DetrOutput, input_spec: InputSpec, classes: int) -> None:
        self._spec = spec
        self._input = input_spec
        self._classes = classes
        self._sized = spec.form == "sized"
        self.extra_inputs = (spec.sizes,) if self._sized else ()
        self.outputs = (
            (spec.labels, spec.boxes_name, spec.scores)
            if self._sized
            else (spec.logits, spec.boxes_name)
        )

    def feed(self, pictures: int) -> dict[str, NDArray[Any]]:
        """Return the input's size for each picture, where the model takes it."""
        if not self._sized:
            return {}
        size = [self._input.width, self._input.height]
        ordered = size if self._spec.sizes_order == "wh" else size[::-1]
        return {self._spec.sizes: np.tile(np.asarray(ordered, np.int64), (pictures, 1))}

    def decode(self, tensors: Tensors, min_score: float) -> Candidates:
        """Return the objects whose score is high enough."""
        name = self._spec.boxes_name
        boxes = tensors[name].astype(np.float32, copy=False)
        if boxes.ndim != 3 or boxes.shape[2] != 4:
            raise misfit(name, "[N, objects, 4]", boxes.shape, "detr")
        if self._sized:
            return self._decode_sized(tensors, boxes, min_score)
        return self._decode_raw(tensors, boxes, min_score)

    def _decode_sized(self, tensors: Tensors, boxes: Floats, min_score: float) -> Candidates:
        for name in (self._spec.labels, self._spec.scores):
            if tensors[name].shape != boxes.shape[:2]:
                expected = f"[N, objects] like the boxes' {list(boxes.shape[:2])}"
                raise misfit(name, expected, tensors[name].shape, "detr")
        scores = tensors[self._spec.scores].astype(np.float32, copy=False)
        picture, row = np.nonzero(scores >= min_score)
        labels = tensors[self._spec.labels].astype(np.int64, copy=False)
        return Candidates(
            picture.astype(np.int64),
            boxes[picture, row],
            scores[picture, row],
            labels[picture, row],
        )

    def _decode_raw(self, tensors: Tensors, boxes: Floats, min_score: float) -> Candidates:
        softmax = self._spec.activation == "softmax"
        logits = tensors[self._spec.logits].astype(np.float32, copy=False)
        columns = self._classes + (1 if softmax else 0)
        if logits.shape != (*boxes.shape[:2], columns):
            none = " + no object" if softmax else ""
            expected = f"[N, {boxes.shape[1]}, {columns}] ({self._classes} labels{none})"
            raise misfit(self._spec.logits, expected, logits.shape, "detr")
        if softmax:
            powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
            scores = (powers / powers.sum(axis=-1, keepdims=True))[..., :-1]
        else:
            scores = sigmoid(logits)
        flat = scores.reshape(len(scores), -1)
        keep = flat >= min_score
        if flat.shape[1] > self._spec.top:
            lowest = np.partition(flat, -self._spec.top, axis=1)[:, -self._spec.top, None]
            keep &= flat >= lowest
        picture, pair = np.nonzero(keep)
        query, label = np.divmod(pair, self._classes)
        chosen = boxes[picture, query] * np.tile(
            np.asarray([self._input.width, self._input.height], np.float32), 2
        )
        return Candidates(
            picture.astype(np.int64),
            corners(chosen[:, 0], chosen[:, 1], chosen[:, 2], chosen[:, 3]),
            flat[picture, pair],
            label.astype(np.int64),
        )
