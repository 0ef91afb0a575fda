"""How good a detector is on a labelled set: COCO's average precision, and what users notice.

AP is over all scores and IoU 0.50 to 0.95, by pycocotools. What users notice is at the card's own
threshold and IoU 0.5: precision, recall, false alarms an hour. Intervals are by bootstrap: the
pictures are drawn again, with replacement.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from vision.coco_dataset import LabelledObject, LabelledPicture, LabelledSet
from vision.detector import DetectedObject

IOU = 0.5
"""From here on a detection is right."""
DRAWS = 1_000
AP_DRAWS = 100
"""Of AP; each takes as long as the evaluation itself."""
SEED = 20_261_130
_INTERVAL = (2.5, 97.5)
"""Percent: 95 % of the draws are within."""
_SECONDS_OF_HOUR = 3_600
_MAX_DETECTIONS = 100
"""Of a picture that COCO counts."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval of 95 %. None: there is nothing to count it from."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class PictureResult:
    """What one picture gave at the threshold."""

    right: int
    wrong: int
    missed: int


@dataclass(frozen=True, slots=True)
class LabelResult:
    """One label."""

    label: str
    objects: int
    ap: float | None
    ap50: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A detector on a set."""

    pictures: int
    objects: int
    threshold: float
    ap: Estimate
    ap50: Estimate
    ap_small: float | None
    """Objects below 32 x 32 pixels; medium: below 96 x 96."""
    ap_medium: float | None
    ap_large: float | None
    precision: Estimate
    recall: Estimate
    false_alarms_hour: Estimate
    """At `pictures_s` analysed pictures a second."""
    pictures_s: float
    labels: tuple[LabelResult, ...]
    by_picture: tuple[PictureResult, ...]


def evaluate(
    dataset: LabelledSet,
    found: Sequence[Sequence[DetectedObject]],
    *,
    threshold: float,
    pictures_s: float,
) -> Evaluation:
    """Compare what a detector found in each picture with the truth.

    `found` has all scores. Labels that the set does not know are left out: it says nothing of them.
    """
    known = set(dataset.labels)
    found = [[one for one in each if one.label in known] for each in found]
    coco = _CocoEvaluation(dataset, found)
    matches = [
        _match(picture, each, threshold)
        for picture, each in zip(dataset.pictures, found, strict=True)
    ]
    counts = np.array([[m.right, m.wrong, m.missed] for m in matches], np.float64)
    draws = np.random.default_rng(SEED).integers(0, len(counts), (DRAWS, len(counts)))
    sums = counts[draws].sum(axis=1)
    hour = _SECONDS_OF_HOUR * pictures_s / len(counts)
    total = counts.sum(axis=0)
    return Evaluation(
        pictures=len(matches),
        objects=sum(not one.crowd for p in dataset.pictures for one in p.objects),
        threshold=threshold,
        ap=_estimate(coco.figure(), coco.draws(AP_DRAWS, "ap")),
        ap50=_estimate(coco.figure(iou=IOU), coco.draws(AP_DRAWS, "ap50")),
        ap_small=coco.figure(area="small"),
        ap_medium=coco.figure(area="medium"),
        ap_large=coco.figure(area="large"),
        precision=_estimate(_ratio(total[0], total[1]), _ratios(sums[:, 0], sums[:, 1])),
        recall=_estimate(_ratio(total[0], total[2]), _ratios(sums[:, 0], sums[:, 2])),
        false_alarms_hour=_estimate(float(total[1]) * hour, sums[:, 1] * hour),
        pictures_s=pictures_s,
        labels=tuple(
            _label_result(label, dataset, found, threshold, coco) for label in dataset.labels
        ),
        by_picture=tuple(matches),
    )


class _CocoEvaluation:
    """pycocotools over one set; its printing is swallowed."""

    def __init__(self, dataset: LabelledSet, found: Sequence[Sequence[DetectedObject]]) -> None:
        self._labels = {label: number for number, label in enumerate(dataset.labels, start=1)}
        with contextlib.redirect_stdout(io.StringIO()):
            truth = self._truth(dataset)
            results = self._results(dataset, found)
            detected = truth.loadRes(results) if results else _without_annotations(truth)
            self._eval = COCOeval(truth, detected, "bbox")
            self._eval.evaluate()
            self._eval.accumulate()
        self._pictures = len(dataset.pictures)
        self._eval_images = list(self._eval.evalImgs)

    def figure(
        self, *, iou: float | None = None, area: str = "all", label: str | None = None
    ) -> float | None:
        """Return average precision; None: there is no such object."""
        return self._mean(iou, area, label)

    def draws(self, count: int, which: str) -> NDArray[np.float64]:
        """Return AP of sets whose pictures were drawn again."""
        chance = np.random.default_rng(SEED)
        iou = IOU if which == "ap50" else None
        values = []
        whole = np.array(self._eval_images, dtype=object).reshape(-1, self._pictures)
        for _ in range(count):
            drawn = chance.integers(0, self._pictures, self._pictures)
            self._eval.evalImgs = list(whole[:, drawn].reshape(-1))
            with contextlib.redirect_stdout(io.StringIO()):
                self._eval.accumulate()
            value = self._mean(iou, "all", None)
            if value is not None:
                values.append(value)
        self._eval.evalImgs = self._eval_images
        with contextlib.redirect_stdout(io.StringIO()):
            self._eval.accumulate()
        return np.array(values, np.float64)

    def _mean(self, iou: float | None, area: str, label: str | None) -> float | None:
        params = self._eval.params
        # [IoU, recall, label, area, most detections]; -1: no object.
        precision = self._eval.eval["precision"][
            :, :, :, params.areaRngLbl.index(area), params.maxDets.index(_MAX_DETECTIONS)
        ]
        if iou is not None:
            precision = precision[np.isclose(params.iouThrs, iou)]
        if label is not None:
            precision = precision[:, :, params.catIds.index(self._labels[label])]
        counted = precision[precision > -1]
        return float(counted.mean()) if counted.size else None

    def _truth(self, dataset: LabelledSet) -> Any:
        annotations: list[dict[str, Any]] = []
        for image, picture in enumerate(dataset.pictures, start=1):
            for one in picture.objects:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": self._labels[one.label],
                        "bbox": list(one.box),
                        "area": one.box[2] * one.box[3],
                        "iscrowd": int(one.crowd),
                    }
                )
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [
                {"id": image, "width": picture.width, "height": picture.height}
                for image, picture in enumerate(dataset.pictures, start=1)
            ],
            "annotations": annotations,
            "categories": [{"id": n, "name": name} for name, n in self._labels.items()],
        }
        truth.createIndex()
        return truth

    def _results(
        self, dataset: LabelledSet, found: Sequence[Sequence[DetectedObject]]
    ) -> list[dict[str, Any]]:
        return [
            {
                "image_id": image,
                "category_id": self._labels[one.label],
                "bbox": list(_pixels(one, picture)),
                "score": one.score,
            }
            for image, (picture, each) in enumerate(
                zip(dataset.pictures, found, strict=True), start=1
            )
            for one in each
        ]


def _without_annotations(truth: Any) -> Any:
    empty = COCO()
    empty.dataset = {**truth.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _pixels(one: DetectedObject, picture: LabelledPicture) -> tuple[float, float, float, float]:
    x, y, width, height = one.box
    return (
        x * picture.width, y * picture.height, width * picture.width, height * picture.height
    )  # fmt: skip


def _match(
    picture: LabelledPicture,
    found: Sequence[DetectedObject],
    threshold: float,
    label: str | None = None,
) -> PictureResult:
    """Pair detections with objects of their label, the best score first."""
    objects = [one for one in picture.objects if label in (None, one.label)]
    free = [one for one in objects if not one.crowd]
    groups = [one for one in objects if one.crowd]
    right = wrong = 0
    for one in sorted(found, key=lambda each: -each.score):
        if one.score < threshold or label not in (None, one.label):
            continue
        box = _pixels(one, picture)
        same = [each for each in free if each.label == one.label]
        best = max(same, key=lambda each: _iou(box, each.box), default=None)
        if best is not None and _iou(box, best.box) >= IOU:
            free.remove(best)
            right += 1
        elif not any(_is_of(box, each) for each in groups if each.label == one.label):
            wrong += 1
    return PictureResult(right, wrong, len(free))


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    common = _common(a, b)
    return common / (a[2] * a[3] + b[2] * b[3] - common) if common else 0.0


def _common(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def _is_of(box: Sequence[float], crowd: LabelledObject) -> bool:
    """Return whether a box is mostly on a group, as COCO counts it."""
    area = box[2] * box[3]
    return area > 0 and _common(box, crowd.box) / area >= IOU


def _label_result(
    label: str,
    dataset: LabelledSet,
    found: Sequence[Sequence[DetectedObject]],
    threshold: float,
    coco: _CocoEvaluation,
) -> LabelResult:
    matches = [
        _match(picture, each, threshold, label)
        for picture, each in zip(dataset.pictures, found, strict=True)
    ]
    right = sum(one.right for one in matches)
    missed = sum(one.missed for one in matches)
    return LabelResult(
        label,
        right + missed,
        coco.figure(label=label),
        coco.figure(label=label, iou=IOU),
        _ratio(right, sum(one.wrong for one in matches)),
        _ratio(right, missed),
    )


def _ratio(part: float, rest: float) -> float | None:
    return float(part / (part + rest)) if part + rest else None


def _ratios(part: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.float64]:
    counted = part + rest > 0
    return np.asarray(part[counted] / (part + rest)[counted])


def _estimate(value: float | None, draws: NDArray[np.float64]) -> Estimate:
    if value is None or not len(draws):
        return Estimate(value)
    low, high = np.percentile(draws, _INTERVAL)
    return Estimate(value, float(low), float(high))
