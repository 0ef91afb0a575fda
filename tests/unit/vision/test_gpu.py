"""The options of CUDA and TensorRT; these tests need no GPU."""

import logging
import os
from pathlib import Path

import pytest

from vision.gpu import CUDA, KEPT_ENGINES, TENSORRT, GpuOptions, provider_options


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"some weights")
    return path


def test_cuda_gets_its_device_and_its_bound(model: Path) -> None:
    options = provider_options(CUDA, GpuOptions(device=2, memory_mib=512), model)
    assert options["device_id"] == "2"
    assert options["gpu_mem_limit"] == str(512 * 1024 * 1024)
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert "gpu_mem_limit" not in provider_options(CUDA, GpuOptions(), model)


def test_the_cpu_gets_no_options(model: Path) -> None:
    assert (
        provider_options("CPUExecutionProvider", GpuOptions(device=1, memory_mib=64), model) == {}
    )


def test_engines_are_kept_for_each_model_file(tmp_path: Path, model: Path) -> None:
    cache = tmp_path / "engines"
    first = provider_options(TENSORRT, GpuOptions(half=True, engine_cache=cache), model)
    assert first["trt_engine_cache_enable"] == first["trt_timing_cache_enable"] == "True"
    assert first["trt_fp16_enable"] == "True"
    assert Path(first["trt_engine_cache_path"]).is_dir()
    assert Path(first["trt_engine_cache_path"]).parent == cache
    assert provider_options(TENSORRT, GpuOptions(half=True, engine_cache=cache), model) == first
    model.write_bytes(b"other weights of the same graph")
    second = provider_options(TENSORRT, GpuOptions(engine_cache=cache), model)
    assert second["trt_engine_cache_path"] != first["trt_engine_cache_path"]
    assert second["trt_fp16_enable"] == "False"


def test_only_the_newest_engines_are_kept_and_nothing_else_is_touched(
    tmp_path: Path, model: Path
) -> None:
    cache = tmp_path / "engines"
    (cache / "of another program").mkdir(parents=True)
    paths = []
    for number in range(KEPT_ENGINES + 2):
        model.write_bytes(bytes([number]))
        options = provider_options(TENSORRT, GpuOptions(engine_cache=cache), model)
        paths.append(Path(options["trt_engine_cache_path"]))
        (paths[-1] / "some.engine").write_bytes(b"...")
        os.utime(paths[-1], (1_000 + number, 1_000 + number))
    assert [path.is_dir() for path in paths] == [False] * 2 + [True] * KEPT_ENGINES
    assert (cache / "of another program").is_dir()


def test_a_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        options = provider_options(TENSORRT, GpuOptions(engine_cache=tmp_path / "file"), model)
    assert "trt_engine_cache_enable" not in options
    assert "Make the folder writable" in caplog.text
    assert "trt_engine_cache_enable" not in provider_options(TENSORRT, GpuOptions(), model)
