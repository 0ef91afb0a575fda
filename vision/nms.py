"""Non-maximum suppression (NMS): one box for each object, of several that overlap."""

import cv2
import numpy as np

from vision.layouts.base import Candidates


def select(candidates: Candidates, keep: np.ndarray) -> Candidates:
    """Return the rows that a mask or a list of indices chooses."""
    return Candidates(
        candidates.picture[keep],
        candidates.boxes[keep],
        candidates.scores[keep],
        candidates.labels[keep],
    )


def non_maximum_suppression(candidates: Candidates, iou: float) -> Candidates:
    """Drop each box that overlaps a better one of its label and picture by more than `iou`."""
    if not len(candidates.scores):
        return candidates
    corner, size = candidates.boxes[:, :2], candidates.boxes[:, 2:] - candidates.boxes[:, :2]
    # A group is one label of one picture, so that a whole batch needs one call.
    groups = candidates.picture * (int(candidates.labels.max()) + 1) + candidates.labels
    _, groups = np.unique(groups, return_inverse=True)
    kept = cv2.dnn.NMSBoxesBatched(
        np.concatenate((corner, size), axis=1).astype(np.float64),  # type: ignore[arg-type]
        candidates.scores.astype(np.float32),  # type: ignore[arg-type]
        groups.astype(np.int32),
        0.0,
        iou,
    )
    return select(candidates, np.asarray(kept, dtype=np.intp).reshape(-1))
