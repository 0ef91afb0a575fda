"""Evaluation of a detector: sets with a known right value, and spoiled copies of them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cli import main as command
from domain.errors import ModelError
from tests.unit.vision import models
from vision.coco_dataset import LabelledObject, LabelledPicture, LabelledSet, load_coco
from vision.detector import DetectedObject
from vision.evaluation import evaluate

SIDE = 200
BOXES = ((10, 10, 40, 60), (120, 20, 50, 50), (60, 130, 100, 40))
LABELS = ("person", "car", "dog")


def labelled(pictures: int = 10) -> LabelledSet:
    """Return a set with one object of each label in each picture."""
    objects = tuple(LabelledObject(n, b) for n, b in zip(LABELS, BOXES, strict=True))
    one = LabelledPicture(Path("none.png"), SIDE, SIDE, objects)
    return LabelledSet((one,) * pictures, LABELS)


def exact(dataset: LabelledSet, score: float = 0.9) -> list[list[DetectedObject]]:
    """Return what a perfect detector finds."""
    return [
        [
            DetectedObject(
                one.label,
                score,
                (one.box[0] / SIDE, one.box[1] / SIDE, one.box[2] / SIDE, one.box[3] / SIDE),
            )
            for one in picture.objects
            if not one.crowd
        ]
        for picture in dataset.pictures
    ]


def run(dataset: LabelledSet, found: Sequence[Sequence[DetectedObject]]) -> Any:
    """Evaluate at a threshold of 0.5 and two pictures a second."""
    return evaluate(dataset, found, threshold=0.5, pictures_s=2)


def test_a_perfect_detector_has_the_value_1() -> None:
    result = run(labelled(), exact(labelled()))
    assert result.ap.value == result.ap50.value == pytest.approx(1)
    assert (result.ap.low, result.ap.high) == (pytest.approx(1), pytest.approx(1))
    assert (result.precision.value, result.recall.value) == (1, 1)
    assert result.false_alarms_hour.value == 0
    assert [one.objects for one in result.labels] == [10, 10, 10]


def test_half_of_a_label_missed_has_a_known_value() -> None:
    dataset = labelled()
    found = [
        [one for one in each if one.label != "car" or number % 2]
        for number, each in enumerate(exact(dataset))
    ]
    result = run(dataset, found)
    [person, car, dog] = result.labels
    # COCO takes precision at 101 recalls: 0.00 to 0.50 are reached, 51 of them.
    assert car.ap == pytest.approx(51 / 101, abs=1e-3)
    assert (person.ap, dog.ap) == (pytest.approx(1), pytest.approx(1))
    assert result.ap.value == pytest.approx((2 + 51 / 101) / 3, abs=1e-3)
    assert result.recall.value == pytest.approx(25 / 30)
    assert result.recall.low < result.recall.value < result.recall.high
    assert result.precision.value == 1


def test_false_alarms_are_counted_by_the_hour() -> None:
    dataset = labelled()
    ghost = DetectedObject("dog", 0.8, (0.8, 0.8, 0.1, 0.1))
    found = exact(dataset)
    for each in found[:3]:
        each.append(ghost)
    result = run(dataset, found)
    # 3 in 10 pictures, 7,200 pictures an hour.
    assert result.false_alarms_hour.value == pytest.approx(2_160)
    assert result.precision.value == pytest.approx(30 / 33)


def test_scores_below_the_threshold_count_for_ap_only() -> None:
    result = run(labelled(), exact(labelled(), score=0.4))
    assert result.ap.value == pytest.approx(1)
    assert (result.recall.value, result.precision.value) == (0, None)


def test_a_second_box_on_an_object_and_a_wrong_label_are_wrong() -> None:
    dataset = labelled(1)
    [found] = exact(dataset)
    double = replace(found[0], score=0.6)
    wrong = replace(found[1], label="dog")
    result = run(dataset, [[found[0], double, wrong, found[2]]])
    [picture] = result.by_picture
    assert (picture.right, picture.wrong, picture.missed) == (2, 2, 1)


def test_boxes_that_are_off_count_by_their_overlap() -> None:
    dataset = labelled()
    shifted = [
        [replace(one, box=(one.box[0] + one.box[2] * 0.2, *one.box[1:])) for one in each]
        for each in exact(dataset)
    ]
    result = run(dataset, shifted)
    # Shifted by a fifth: IoU 0.8 / 1.2 = 0.667, right at 0.50, 0.55, 0.60 and 0.65 of ten.
    assert result.ap50.value == pytest.approx(1)
    assert result.ap.value == pytest.approx(0.4)


def test_a_detection_on_a_group_is_neither_right_nor_wrong() -> None:
    crowd = LabelledObject("person", (0, 0, 200, 200), crowd=True)
    picture = LabelledPicture(Path("x"), SIDE, SIDE, (crowd,))
    dataset = LabelledSet((picture,), LABELS)
    result = run(dataset, [[DetectedObject("person", 0.9, (0.1, 0.1, 0.2, 0.2))]])
    assert result.by_picture[0].wrong == 0
    assert result.ap.value is None


def test_nothing_found_is_a_result() -> None:
    result = run(labelled(), [[] for _ in range(10)])
    assert (result.ap.value, result.recall.value, result.precision.value) == (0, 0, None)


def write_set(folder: Path, box: Sequence[float], **changes: Any) -> Path:
    """Write two pictures of 64 x 64 with one person each, at `box` pixels."""
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.full((64, 64, 3), 90, np.uint8))
    content: dict[str, Any] = {
        "images": [
            {"id": n, "file_name": f"{name}.png", "width": 64, "height": 64}
            for n, name in enumerate("ab", 1)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 7, "bbox": list(box)} for n in (1, 2)
        ],
        "categories": [{"id": 7, "name": "person"}],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps({**content, **changes}))
    return path


def model(folder: Path) -> Path:
    """Write a model that finds a person at 16, 16, 32, 32 in each picture; return its card."""
    answer = np.asarray([[[32], [32], [32], [32], [0.9], [0], [0]]], np.float32)
    models.write_constant(folder / "model.onnx", {"output0": answer})
    return models.write_card(folder, {"layout": "yolov8"})


def test_the_command_prints_the_figures_and_writes_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["model", "evaluate", "--model", str(model(tmp_path)), "--dataset"]
    report = tmp_path / "report.html"
    for box, ap in (((16, 16, 32, 32), 1.0), ((0, 0, 10, 10), 0.0)):
        path = write_set(tmp_path, box)
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, str(path), "--report", str(report)])
        assert not ended.value.code
        figures = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert figures["ap"]["value"] == pytest.approx(ap)
        assert figures["pictures"] == 2
    page = report.read_text()
    assert page.count("<figure>") == 2
    assert "0 right, 1 wrong, 1 missed" in page


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": []}, "images"),
        ({"annotations": [{"image_id": 9, "category_id": 7, "bbox": [0, 0, 1, 1]}]}, "names an"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 0, 1]}]}, "its box is"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [70, 0, 9, 9]}]}, "its box is"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 9]}]}, "bbox"),
        (
            {"images": [{"id": 1, "file_name": "../../etc/passwd", "width": 1, "height": 1}],
             "annotations": []},
            "outside of",
        ),
        ({"images": [{"id": 1, "file_name": "a.png", "width": 99_999, "height": 1}]}, "width"),
    ],
)  # fmt: skip
def test_a_dataset_that_is_wrong_is_refused(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ModelError, match=says):
        load_coco(write_set(tmp_path, (0, 0, 9, 9), **changes))
