"""The model card: what it contains, and the error for each mistake."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ModelError
from tests.unit.vision.models import LABELS, write_card
from vision.card import ModelCard

YOLOV8 = {"layout": "yolov8"}


def test_a_card_names_its_file_and_labels(tmp_path: Path) -> None:
    card = ModelCard.load(write_card(tmp_path, YOLOV8))
    assert card.path == tmp_path / "model.onnx"
    assert card.names == tuple(LABELS)


def test_labels_may_be_in_a_file_next_to_the_card(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("person\n\n traffic light \n")
    card = ModelCard.load(write_card(tmp_path, YOLOV8, labels="names.txt"))
    assert card.names == ("person", "traffic light")


SIZE = {"width": 64, "height": 64}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"colour": "RGB"}, "colour: Extra inputs are not permitted"),
        ({"input": {**SIZE, "color": "RGB"}}, r"input\.color: Extra inputs"),
        ({"output": {"layout": "yolov8", "stride": 8}}, r"output\.yolov8\.stride: Extra inputs"),
        ({"output": {"layout": "yolo"}}, "output: .*'fastestdet', 'yolox', 'yolov8'"),
        ({"output": None}, "output: Field required"),
        ({"name": "My Model"}, "name: String should match"),
        ({"input": {"width": 0, "height": 64}}, r"input\.width"),
        ({"input": {**SIZE, "std": [1, 0, 1]}}, "std must not contain a zero"),
        (
            {"input": {**SIZE, "dtype": "uint8", "scale": 0.5}},
            "uint8 input has no scale, mean or std",
        ),
        ({"thresholds": {"score": 40}}, r"thresholds\.score: .*less than or equal to 1"),
        ({"labels": []}, "labels: at least one name"),
        ({"labels": "missing.txt"}, r"labels: .*missing\.txt cannot be read"),
        ({"keep": ["persn"]}, "keep: 'persn' is not one of the labels"),
        ({"output": {"layout": "nms", "columns": ["x1", "y1"]}}, "columns must be an order of"),
        ({"output": {"layout": "yolox", "strides": [0]}}, "strides must be 1 or more"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as raised:
        ModelCard.load(write_card(tmp_path, **{"output": YOLOV8, **changes}))
    assert "card.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name: [", "is not a YAML file"),
        (b"\x08\x07\x12\xff\xfe\x00", "is not a YAML file"),
        (b"- one\n- two\n", "must be a mapping"),
        (b"", "must be a mapping"),
        (b"x" * (1 << 21), "over 1 MiB"),
    ],
)
def test_a_file_that_is_not_a_card(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=expected):
        ModelCard.load(path)


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.yaml cannot be read: No such file"):
        ModelCard.load(tmp_path / "nothing.yaml")


def test_a_card_may_name_the_hash_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    right = hashlib.sha256(b"weights").hexdigest()
    assert ModelCard.load(write_card(tmp_path, YOLOV8, sha256=right))
    with pytest.raises(ModelError, match=r"model\.onnx has the SHA-256"):
        ModelCard.load(write_card(tmp_path, YOLOV8, sha256="0" * 64))
    (tmp_path / "model.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        ModelCard.load(write_card(tmp_path, YOLOV8, sha256=right))
