"""Tests for a GPU: its providers compute, find what the CPU finds, and keep their engines."""

import ctypes
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from harness.detector_material import street, write_model
from vision.detector import BgrImage, DetectedObject
from vision.gpu import CUDA, TENSORRT, GpuOptions
from vision.onnx_detector import load

NAMES = {"cuda": CUDA, "tensorrt": TENSORRT}


def pictures() -> list[BgrImage]:
    return [np.asarray(f.to_ndarray(format="bgr24"), np.uint8) for f in street(1280, 720, 3)]


def asked(provider: str) -> str:
    if NAMES[provider] not in ort.get_available_providers():
        pytest.skip(f"this ONNX Runtime has no {provider}: `make gpu` on a machine with a GPU")
    if provider == "tensorrt":
        try:
            ctypes.CDLL("libnvinfer.so.10")
        except OSError:
            pytest.skip("TensorRT's libraries are not installed")
    return provider


def assert_similar(ones: list[list[DetectedObject]], others: list[list[DetectedObject]]) -> None:
    assert sum(map(len, ones)) > 0
    for one, other in zip(ones, others, strict=True):
        assert [each.label for each in one] == [each.label for each in other]
        for a, b in zip(one, other, strict=True):
            assert a.score == pytest.approx(b.score, abs=0.02)
            assert a.box == pytest.approx(b.box, abs=0.02)


@pytest.mark.parametrize("provider", NAMES)
def test_it_computes_there_and_finds_what_the_cpu_finds(tmp_path: Path, provider: str) -> None:
    gpu = GpuOptions(engine_cache=tmp_path / "engines")
    detector = load(write_model(tmp_path), providers=[asked(provider)], gpu=gpu)
    assert detector.provider == NAMES[provider]
    assert_similar(detector.detect(pictures()), load(write_model(tmp_path)).detect(pictures()))


def test_engines_are_built_once(tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    card = write_model(tmp_path)

    def engines() -> dict[Path, int]:
        load(card, providers=[asked("tensorrt")], gpu=GpuOptions(engine_cache=cache))
        return {path: path.stat().st_mtime_ns for path in cache.glob("*/*.engine")}

    first = engines()
    assert first
    assert engines() == first
