"""The ONNX detector: the input it makes, the provider that computes, and what it rejects."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from prometheus_client import REGISTRY

from domain.errors import ModelError
from tests.unit.vision.models import write_card, write_constant, write_seeing
from vision.onnx_detector import load

YOLOV8 = {"layout": "yolov8"}
NO_BOX = np.zeros((1, 7, 2), np.float32)


def plain(blue: int, green: int, red: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    return np.full((*size, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize(
    ("spec", "label", "score"),
    [
        # blue 51, green 102, red 204; each label's score is the mean of one plane
        ({"colour": "BGR", "scale": 1 / 255}, "dog", 0.8),
        ({"colour": "RGB", "scale": 1 / 255}, "person", 0.8),
        # (0.8 - 0.5) / 0.5, (0.4 - 0.1) / 0.4, (0.2 - 0) / 0.5
        (
            {"colour": "RGB", "scale": 1 / 255, "mean": [0.5, 0.1, 0], "std": [0.5, 0.4, 0.5]},
            "car",
            0.75,
        ),
    ],
)
def test_colour_scale_mean_and_std_reach_the_model(
    tmp_path: Path, spec: dict[str, Any], label: str, score: float
) -> None:
    write_seeing(tmp_path / "model.onnx")
    spec = {"width": 64, "height": 64, "resize": "stretch", **spec}
    found = load(write_card(tmp_path, YOLOV8, input=spec)).detect([plain(51, 102, 204)])[0]
    assert [(one.label, one.score) for one in found] == [(label, pytest.approx(score, abs=0.002))]


@pytest.mark.parametrize("batch", ["N", 2, 3])
def test_each_picture_gets_its_own_result(tmp_path: Path, batch: int | str) -> None:
    write_seeing(tmp_path / "model.onnx", batch=batch)
    spec = {"width": 64, "height": 64, "scale": 1 / 255, "resize": "stretch"}
    detector = load(write_card(tmp_path, YOLOV8, input=spec), batch=4)
    assert detector.batch == (4 if batch == "N" else batch)
    bright = [200, 0, 150, 250, 0, 100, 120]
    found = detector.detect([plain(0, value, 0, (48, 96 + value)) for value in bright])
    scores = [one[0].score if one else 0 for one in found]
    assert scores == pytest.approx([value / 255 for value in bright], abs=0.01)
    assert all(one.box == (0.25, 0.25, 0.5, 0.5) for several in found for one in several)
    assert detector.detect([]) == []


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
def test_other_types_of_input(tmp_path: Path, dtype: str) -> None:
    write_seeing(tmp_path / "model.onnx", dtype=dtype)
    spec = {"width": 64, "height": 64, "dtype": dtype, "scale": 1 if dtype == "uint8" else 1 / 255}
    green, score = (1, 1.0) if dtype == "uint8" else (204, 0.8)
    found = load(write_card(tmp_path, YOLOV8, input=spec)).detect([plain(0, green, 0)])[0]
    assert [(one.label, one.score) for one in found] == [("car", pytest.approx(score, abs=0.001))]


def test_channels_last(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX}, shape=(48, 64, 3))
    spec = {"width": 64, "height": 48, "layout": "NHWC"}
    assert load(write_card(tmp_path, YOLOV8, input=spec)).detect([plain(1, 2, 3)]) == [[]]


def test_only_wanted_labels_are_kept(tmp_path: Path) -> None:
    raw = np.zeros((1, 7, 2), np.float32)
    raw[0, :, 0] = [32, 32, 32, 32, 0, 0.9, 0]
    raw[0, :, 1] = [10, 10, 10, 10, 0.8, 0, 0]
    write_constant(tmp_path / "model.onnx", {"a": raw})
    detector = load(write_card(tmp_path, YOLOV8, keep=["person"]))
    assert [one.label for one in detector.detect([plain(0, 0, 0)])[0]] == ["person"]


def test_the_provider_is_asserted_logged_and_exported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    with caplog.at_level(logging.INFO):
        detector = load(write_card(tmp_path, YOLOV8), providers=["cpu"])
    assert detector.provider == "CPUExecutionProvider"
    assert "runs on CPUExecutionProvider" in caplog.text
    labels = {"model": "tiny", "version": "1", "provider": "CPUExecutionProvider"}
    assert REGISTRY.get_sample_value("vigil_detector_info", labels) == 1


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="CUDA is here")
def test_a_missing_provider_is_rejected_without_fallback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    card = write_card(tmp_path, YOLOV8)
    with pytest.raises(ModelError, match=r"CUDAExecutionProvider was asked for.*has only"):
        load(card, providers=["cuda", "cpu"])
    assert load(card, providers=["cuda"], fallback=True).provider == "CPUExecutionProvider"
    assert "asked for CUDAExecutionProvider" in caplog.text


def test_a_provider_that_takes_no_node_does_not_count(tmp_path: Path) -> None:
    idle = next((p for p in ort.get_available_providers() if p.startswith("Azure")), None)
    if idle is None:
        pytest.skip("this ONNX Runtime has no provider that computes nothing")
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    card = write_card(tmp_path, YOLOV8)
    with pytest.raises(ModelError, match="chose CPUExecutionProvider instead"):
        load(card, providers=[idle])
    assert load(card, providers=[idle], fallback=True).provider == "CPUExecutionProvider"


def test_an_unknown_provider_is_rejected(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    with pytest.raises(ModelError, match=r"'gpu' is unknown\. Choose one of cpu, cuda"):
        load(write_card(tmp_path, YOLOV8), providers=["gpu"])


def test_a_file_that_is_not_onnx_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"This is not a model." * 100)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded as ONNX"):
        load(write_card(tmp_path, YOLOV8))


def test_a_truncated_model_is_rejected(tmp_path: Path) -> None:
    path = write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="cannot be loaded as ONNX"):
        load(write_card(tmp_path, YOLOV8))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx does not exist"):
        load(write_card(tmp_path, YOLOV8))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"width": 32, "height": 64}, r"\[N, 3, 64, 32\].*'N', 3, 64, 64\]"),
        ({"width": 64, "height": 64, "layout": "NHWC"}, r"\[N, 64, 64, 3\]"),
        ({"width": 64, "height": 64, "dtype": "float16"}, r"float16.*tensor\(float\)"),
        ({"width": 64, "height": 64, "name": "x"}, r"expects the inputs x; the model has images"),
    ],
)
def test_an_input_that_does_not_fit_is_named(
    tmp_path: Path, spec: dict[str, Any], expected: str
) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    with pytest.raises(ModelError, match=expected):
        load(write_card(tmp_path, YOLOV8, input=spec))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"layout": "yolov8", "name": "b"}, "expects the outputs b; the model has a tensor"),
        ({"layout": "detr", "form": "raw"}, "expects the outputs logits, pred_boxes"),
        ({"layout": "detr"}, "expects the inputs images, orig_target_sizes"),
        ({"layout": "nms", "form": "four"}, "num_dets, det_boxes, det_scores, det_classes"),
    ],
)
def test_missing_inputs_and_outputs_are_named(
    tmp_path: Path, output: dict[str, Any], expected: str
) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX})
    with pytest.raises(ModelError, match=expected):
        load(write_card(tmp_path, output))


def test_an_unexpected_second_input_is_rejected(tmp_path: Path) -> None:
    write_constant(tmp_path / "model.onnx", {"a": NO_BOX}, sizes="sizes")
    with pytest.raises(ModelError, match=r"expects the inputs images; .* has images.*sizes"):
        load(write_card(tmp_path, YOLOV8))
