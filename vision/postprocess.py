"""Postprocessing: a model's output tensors to objects with labels, in fractions of the picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.card import ModelCard
from vision.detector import DetectedObject
from vision.layouts.base import Candidates, Layout, Tensors
from vision.nms import non_maximum_suppression, select
from vision.preprocess import Placement


class Postprocessor:
    """Reads the output of one card's model; it keeps no state, so threads may share it."""

    def __init__(self, card: ModelCard, layout: Layout) -> None:
        self._card = card
        self._layout = layout
        self._kept = np.asarray([not card.keep or name in card.keep for name in card.names])

    def objects(
        self, tensors: Tensors, placements: Sequence[Placement]
    ) -> list[list[DetectedObject]]:
        """Return the objects of each picture, best score first.

        `placements`: where each picture is in the input. Raises ModelError where a tensor does not
        fit the card.
        """
        thresholds = self._card.thresholds
        candidates = self._layout.decode(tensors, thresholds.score)
        candidates = select(candidates, self._keep_mask(candidates, len(placements)))
        if self._layout.overlapping:
            candidates = non_maximum_suppression(candidates, thresholds.iou)
        return self._named(candidates, placements)

    def _keep_mask(self, candidates: Candidates, pictures: int) -> NDArray[np.bool_]:
        finite = np.isfinite(candidates.boxes).all(axis=1) & np.isfinite(candidates.scores)
        keep: NDArray[np.bool_] = finite & (candidates.picture < pictures)
        if self._card.keep:
            # A class beyond the labels has no name, so `keep` cannot name it.
            known = candidates.labels < len(self._kept)
            keep &= known & self._kept[np.where(known, candidates.labels, 0)]
        return keep

    def _named(
        self, candidates: Candidates, placements: Sequence[Placement]
    ) -> list[list[DetectedObject]]:
        found: list[list[DetectedObject]] = [[] for _ in placements]
        names = self._card.names
        for k in np.argsort(-candidates.scores, kind="stable"):
            picture, label = int(candidates.picture[k]), int(candidates.labels[k])
            x1, y1, x2, y2 = (float(v) for v in candidates.boxes[k])
            box = placements[picture].box(x1, y1, x2, y2)
            if box is not None:
                name = names[label] if label < len(names) else f"class {label}"
                score = round(min(max(float(candidates.scores[k]), 0.0), 1.0), 4)
                found[picture].append(DetectedObject(name, score, box))
        return found
