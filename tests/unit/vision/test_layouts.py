"""Each layout through a real ONNX Runtime session: known boxes in, the same boxes out.

The picture is 200 x 100, the input 64 x 64:

    letterbox, centre: 16 rows of fill, 32 rows of picture, 16 rows of fill
    the wanted box (0.25, 0.25, 0.5, 0.5) of the picture = pixels x 16..48, y 24..40 of the input
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.errors import ModelError
from tests.unit.vision.models import write_card, write_constant
from vision.detector import DetectedObject
from vision.onnx_detector import load

PICTURE = np.full((100, 200, 3), 90, np.uint8)
BOX = (0.25, 0.25, 0.5, 0.5)
PIXELS = (16.0, 24.0, 48.0, 40.0)
CENTRE = (32.0, 32.0, 32.0, 16.0)
SMALL = (40.0, 20.0, 52.0, 28.0)
"""A second box, and the same as fractions of the picture."""
SMALL_BOX = (0.625, 0.125, 0.1875, 0.25)


def detect(folder: Path, output: dict[str, Any], **changes: Any) -> list[DetectedObject]:
    return load(write_card(folder, output, **changes)).detect([PICTURE])[0]


def assert_found(
    found: list[DetectedObject], *expected: tuple[str, float, tuple[float, ...]]
) -> None:
    assert [(one.label, one.score) for one in found] == [
        (label, pytest.approx(score, abs=2e-4)) for label, score, _ in expected
    ]
    for one, (_, _, box) in zip(found, expected, strict=True):
        assert one.box == pytest.approx(box, abs=1e-5)


def fastestdet() -> np.ndarray:
    raw = np.zeros((1, 8, 4, 4), np.float32)
    raw[:, 3:5] = -9
    # Cell (2, 2) begins in the input's middle; sigmoid(0) = 1/2, sigmoid(-ln 3) = 1/4.
    raw[0, :, 2, 2] = [0.9, 0, 0, 0, -np.log(3), 0.8, 0.1, 0.2]
    # Its left neighbour finds nearly the same with less certainty, 3/4 of a cell to the right.
    raw[0, :, 2, 1] = [0.8, np.arctanh(0.75), 0, 0, -np.log(3), 0.7, 0, 0]
    return raw


def test_fastestdet_scores_places_and_suppresses(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"758": fastestdet()})
    assert_found(detect(tmp_path, {"layout": "fastestdet"}), ("person", 0.9**0.6 * 0.8**0.4, BOX))


def yolox_raw() -> np.ndarray:
    raw = np.zeros((1, 84, 8), np.float32)  # 64 + 16 + 4 cells
    # stride 8, cell (3, 3): (1 + 3) * 8 = 32; e^(ln 4) * 8 = 32, e^(ln 2) * 8 = 16
    raw[0, 27] = [1, 1, np.log(4), np.log(2), 0.9, 0.1, 0.8, 0]
    # stride 16, row 1, column 2: (0.875 + 2) * 16 = 46, (0.5 + 1) * 16 = 24; 12 x 8
    raw[0, 64 + 4 + 2] = [0.875, 0.5, np.log(12 / 16), np.log(8 / 16), 0.5, 0, 0, 1]
    return raw


def test_yolox_reads_the_cells_of_every_stride(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"output": yolox_raw()})
    assert_found(detect(tmp_path, {"layout": "yolox"}), ("car", 0.72, BOX), ("dog", 0.5, SMALL_BOX))


def test_yolox_decoded_is_not_decoded_again(tmp_path: Path) -> None:
    raw = np.zeros((1, 5, 8), np.float32)
    raw[0, 3] = [*CENTRE, 0.9, 0.1, 0.8, 0]
    write_constant(tmp_path / "model.onnx", {"output": raw})
    assert_found(detect(tmp_path, {"layout": "yolox", "decoded": True}), ("car", 0.72, BOX))


def yolov8() -> np.ndarray:
    raw = np.zeros((1, 7, 10), np.float32)
    raw[0, :, 2] = [*CENTRE, 0.1, 0.2, 0.85]
    raw[0, :, 3] = [CENTRE[0] + 1, *CENTRE[1:], 0, 0, 0.8]  # suppressed: same label
    raw[0, :, 4] = [CENTRE[0] + 1, *CENTRE[1:], 0.6, 0, 0]  # stays: another label
    return raw


def test_yolov8_suppresses_within_a_label_only(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"output0": yolov8()})
    found = detect(tmp_path, {"layout": "yolov8"})
    shifted = (BOX[0] + 1 / 64, *BOX[1:])
    assert_found(found, ("dog", 0.85, BOX), ("person", 0.6, shifted))


def test_yolov8_transposed_in_fractions(tmp_path: Path) -> None:
    raw = yolov8().transpose(0, 2, 1).copy()
    raw[..., :4] /= 64
    write_constant(tmp_path / "model.onnx", {"output0": raw})
    output = {"layout": "yolov8", "transposed": True, "units": "fractions"}
    assert_found(detect(tmp_path, output)[:1], ("dog", 0.85, BOX))


def test_yolov8_of_half_precision(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"output0": yolov8().astype(np.float16)})
    found = detect(tmp_path, {"layout": "yolov8"})
    assert (found[0].label, found[0].score) == ("dog", pytest.approx(0.85, abs=1e-3))
    assert found[0].box == pytest.approx(BOX, abs=1e-5)


def test_detr_sized_needs_no_suppression(tmp_path: Path) -> None:
    answers = {
        "labels": np.asarray([[1, 1, 2]], np.int64),
        "boxes": np.asarray([[PIXELS, PIXELS, SMALL]], np.float32),
        "scores": np.asarray([[0.9, 0.8, 0.1]], np.float32),
    }
    write_constant(tmp_path / "model.onnx", answers, sizes="orig_target_sizes")
    # Both boxes of one label stay although they are the same: the model has chosen.
    assert_found(detect(tmp_path, {"layout": "detr"}), ("car", 0.9, BOX), ("car", 0.8, BOX))


@pytest.mark.parametrize(("order", "expected"), [("wh", [64, 48]), ("hw", [48, 64])])
def test_detr_sized_gets_the_inputs_size(tmp_path: Path, order: str, expected: list[int]) -> None:
    from vision.card import ModelCard
    from vision.layouts.factory import layout_for

    card = ModelCard.load(
        write_card(
            tmp_path,
            {"layout": "detr", "sizes_order": order, "sizes": "size"},
            input={"width": 64, "height": 48},
        )
    )
    assert layout_for(card).feed(2)["size"].tolist() == [expected, expected]


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_detr_raw(tmp_path: Path, activation: str) -> None:
    scores = np.asarray([[[0.1, 0.8, 0.05], [0.01, 0.02, 0.03]]])
    if activation == "softmax":
        none = 1 - scores.sum(axis=-1, keepdims=True)
        logits = np.log(np.concatenate((scores, none), axis=-1)) + 3
    else:
        logits = np.log(scores / (1 - scores))
    boxes = np.asarray([[CENTRE, CENTRE]]) / 64
    write_constant(
        tmp_path / "model.onnx",
        {"logits": logits.astype(np.float32), "pred_boxes": boxes.astype(np.float32)},
    )
    output = {"layout": "detr", "form": "raw", "activation": activation}
    assert_found(detect(tmp_path, output), ("car", 0.8, BOX))


def test_detr_raw_keeps_the_best(tmp_path: Path) -> None:
    chances = np.linspace(0.4, 0.9, 30).reshape(1, 10, 3)
    write_constant(
        tmp_path / "model.onnx",
        {
            "logits": np.log(chances / (1 - chances)).astype(np.float32),
            "pred_boxes": np.tile(np.asarray(CENTRE, np.float32) / 64, (1, 10, 1)),
        },
    )
    found = detect(tmp_path, {"layout": "detr", "form": "raw", "top": 4})
    expected = sorted(chances.ravel(), reverse=True)[:4]
    assert [one.score for one in found] == pytest.approx(expected, abs=2e-4)
    assert [one.label for one in found] == ["dog", "car", "person", "dog"]


def test_nms_rows_are_padded_with_zeros(tmp_path: Path) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = [*PIXELS, 0.9, 2]
    rows[0, 1] = [*SMALL, 0.2, 1]  # below the threshold
    rows[0, 2] = [*SMALL, 0.5, 1]
    write_constant(tmp_path / "model.onnx", {"output0": rows})
    assert_found(detect(tmp_path, {"layout": "nms"}), ("dog", 0.9, BOX), ("car", 0.5, SMALL_BOX))


def test_nms_rows_with_other_columns(tmp_path: Path) -> None:
    rows = np.zeros((1, 3, 6), np.float32)
    rows[0, 0] = [2, 0.9, *(value / 64 for value in PIXELS)]
    write_constant(tmp_path / "model.onnx", {"output0": rows})
    output = {
        "layout": "nms",
        "columns": ["label", "score", "x1", "y1", "x2", "y2"],
        "units": "fractions",
    }
    assert_found(detect(tmp_path, output), ("dog", 0.9, BOX))


@pytest.mark.parametrize("corners", ["xyxy", "yxyx"])
def test_nms_four_outputs(tmp_path: Path, corners: str) -> None:
    box = PIXELS if corners == "xyxy" else (PIXELS[1], PIXELS[0], PIXELS[3], PIXELS[2])
    answers = {
        "num_dets": np.asarray([[1]], np.int32),
        "det_boxes": np.asarray([[box, SMALL]], np.float32),
        "det_scores": np.asarray([[0.9, 0.8]], np.float32),  # the second is beyond the count
        "det_classes": np.asarray([[0, 1]], np.int32),
    }
    write_constant(tmp_path / "model.onnx", answers)
    output = {"layout": "nms", "form": "four", "corners": corners}
    assert_found(detect(tmp_path, output), ("person", 0.9, BOX))


def test_nms_flat_keeps_the_pictures_separate(tmp_path: Path) -> None:
    rows = np.asarray([[1, *SMALL, 0, 0.7], [0, *PIXELS, 2, 0.9], [5, *PIXELS, 2, 0.9]], np.float32)
    write_constant(tmp_path / "model.onnx", {"output": rows})
    detector = load(write_card(tmp_path, {"layout": "nms", "form": "flat"}))
    first, second = detector.detect([PICTURE, PICTURE])
    assert_found(first, ("dog", 0.9, BOX))
    assert_found(second, ("person", 0.7, SMALL_BOX))


def test_boxes_are_clipped_to_the_picture_and_dropped_outside(tmp_path: Path) -> None:
    rows = np.asarray(
        [
            [
                [-20, 0, 16, 32, 0.9, 0],  # over the left edge and into the fill above
                [50, 40, 90, 70, 0.8, 1],  # over the right and lower edges
                [0, 2, 64, 14, 0.7, 2],  # within the fill only
                [0, 0, np.nan, 20, 0.6, 1],
            ]
        ],
        np.float32,
    )
    write_constant(tmp_path / "model.onnx", {"output0": rows})
    found = detect(tmp_path, {"layout": "nms"})
    assert_found(
        found,
        ("person", 0.9, (0, 0, 0.25, 0.5)),
        ("car", 0.8, (50 / 64, 0.75, 14 / 64, 0.25)),
    )
    assert all(one.box[0] + one.box[2] <= 1 and one.box[1] + one.box[3] <= 1 for one in found)


def test_a_class_without_a_label_is_named_by_its_number(tmp_path: Path) -> None:
    rows = np.asarray([[[*PIXELS, 0.9, 7]]], np.float32)
    write_constant(tmp_path / "model.onnx", {"output0": rows})
    assert [one.label for one in detect(tmp_path, {"layout": "nms"})] == ["class 7"]
    assert detect(tmp_path, {"layout": "nms"}, keep=["car"]) == []


@pytest.mark.parametrize(
    ("output", "answers", "expected"),
    [
        ({"layout": "fastestdet"}, {"a": (1, 85, 4, 4)}, "[N, 8, rows, columns]"),
        ({"layout": "yolox"}, {"a": (1, 84, 85)}, "[N, 84, 8]"),
        ({"layout": "yolox", "strides": [8]}, {"a": (1, 84, 8)}, "[N, 64, 8]"),
        ({"layout": "yolov8"}, {"a": (1, 84, 10)}, "[N, 7, cells]"),
        ({"layout": "yolov8", "transposed": True}, {"a": (1, 7, 10)}, "[N, cells, 7]"),
        (
            {"layout": "detr", "form": "raw"},
            {"logits": (1, 5, 91), "pred_boxes": (1, 5, 4)},
            "[N, 5, 3]",
        ),
        (
            {"layout": "detr", "form": "raw"},
            {"logits": (1, 5, 3), "pred_boxes": (1, 5, 6)},
            "[N, objects, 4]",
        ),
        ({"layout": "nms"}, {"a": (1, 5, 7)}, "[N, max, 6]"),
        ({"layout": "nms", "form": "flat"}, {"a": (2, 6)}, "[M, 7]"),
    ],
)
def test_an_output_of_another_shape_is_named(
    tmp_path: Path, output: dict[str, Any], answers: dict[str, tuple[int, ...]], expected: str
) -> None:
    write_constant(
        tmp_path / "model.onnx",
        {name: np.zeros(shape, np.float32) for name, shape in answers.items()},
    )
    with pytest.raises(ModelError) as raised:
        detect(tmp_path, output)
    assert expected in str(raised.value)
    assert any(str(list(shape)) in str(raised.value) for shape in answers.values())
