"""Processes of models that are killed, hang, leak, fall back or change their mind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from domain.errors import ModelError
from inference.embedded import EmbeddedEngine
from inference.engine import InferRequest
from inference.errors import ComputeError
from inference.model_files import ModelFile
from inference.model_host import HostOptions, ModelHost
from inference.model_process import ProcessOptions
from tests.integration.inference_server_support import tensor
from tests.unit.vision import models
from tests.waiting import wait_for

OPTIONS = HostOptions(ProcessOptions(runners=2))


@asynccontextmanager
async def host_of(path: Path, options: HostOptions = OPTIONS) -> AsyncIterator[ModelHost]:
    """Run one model inside the block."""
    engine = EmbeddedEngine([ModelFile("tiny", "1", path)], options)
    try:
        await engine.load()
        yield engine.host("tiny")
    finally:
        await engine.close()


async def ask(host: ModelHost, value: float) -> float:
    """Return the model's answer to an even picture of this value: the value."""
    answer = await host.infer(InferRequest("tiny", {"images": tensor(value)}))
    return float(answer["output0"][0, 4, 0])


def pid_of(host: ModelHost) -> int:
    """Return the process id of a model."""
    assert host.process is not None
    return host.process.pid


async def test_a_killed_process_loses_no_request(tmp_path: Path) -> None:
    async with host_of(models.write_seeing(tmp_path / "m.onnx")) as host:
        values = [number / 200 for number in range(200)]
        asked = [asyncio.create_task(ask(host, value)) for value in values[:60]]
        first = pid_of(host)
        await wait_for(lambda: any(t.done() for t in asked), within_s=5, what="one answer")
        os.kill(first, signal.SIGKILL)
        asked += [asyncio.create_task(ask(host, value)) for value in values[60:64]]
        found = await asyncio.gather(*asked)
        np.testing.assert_allclose(found, values[:64], atol=1e-5)
        assert pid_of(host) != first


async def test_a_request_that_hangs_fails_and_the_others_are_answered(tmp_path: Path) -> None:
    options = HostOptions(ProcessOptions(runners=1, hang_s=0.5))
    path = models.write_hanging(tmp_path / "m.onnx", above=1.5)
    async with host_of(path, options) as host:
        bad = InferRequest("tiny", {"images": tensor(2)})
        poison = asyncio.create_task(host.infer(bad))
        good = [asyncio.create_task(ask(host, value)) for value in (0.1, 0.2, 0.3)]
        with pytest.raises(ComputeError, match="ended 2 times"):
            await poison
        np.testing.assert_allclose(await asyncio.gather(*good), [0.1, 0.2, 0.3], atol=1e-5)


async def test_a_process_that_is_stopped_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.model_process.SILENT_S", 2.5)
    async with host_of(models.write_seeing(tmp_path / "m.onnx")) as host:
        first = pid_of(host)
        os.kill(first, signal.SIGSTOP)
        assert await ask(host, 0.25) == pytest.approx(0.25)
        assert pid_of(host) != first


async def test_a_process_with_too_much_memory_is_replaced_without_a_lost_request(
    tmp_path: Path,
) -> None:
    options = replace(OPTIONS, recycle_mib=1, recycle_every_s=0.0)
    async with host_of(models.write_seeing(tmp_path / "m.onnx"), options) as host:
        first = pid_of(host)
        answered = 0
        while pid_of(host) == first or answered < 10:
            assert await ask(host, 0.5) == pytest.approx(0.5)
            answered += 1


async def test_a_fall_back_is_not_ready_but_answers(tmp_path: Path) -> None:
    process = ProcessOptions(providers=("openvino", "cpu"), fallback=True)
    async with host_of(models.write_seeing(tmp_path / "m.onnx"), HostOptions(process)) as host:
        assert host.problem == (
            "CPUExecutionProvider computes instead of OpenVINOExecutionProvider."
        )
        assert await ask(host, 0.5) == pytest.approx(0.5)


async def test_without_fall_back_another_provider_is_refused(tmp_path: Path) -> None:
    process = ProcessOptions(providers=("openvino", "cpu"))
    with pytest.raises(ModelError, match="OpenVINOExecutionProvider was asked for"):
        async with host_of(models.write_seeing(tmp_path / "m.onnx"), HostOptions(process)):
            raise AssertionError("it must not start")


def write_random(path: Path) -> Path:
    """Write a model whose answers differ each time."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 64, 64])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node("RandomNormalLike", ["images"], ["output0"])],
        "random",
        [images],
        [output],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), str(path))
    return path


async def test_a_known_picture_with_another_answer_ends_readiness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.model_host.CHECK_EVERY_S", 0.05)
    async with host_of(write_random(tmp_path / "m.onnx")) as host:
        await wait_for(
            lambda: host.problem == "Its answer to a known input has changed.",
            within_s=5,
            what=lambda: host.problem,
        )


async def test_an_answer_that_is_not_a_number_refuses_the_model(tmp_path: Path) -> None:
    path = models.write_constant(
        tmp_path / "m.onnx", {"output0": np.full((1, 7, 1), np.nan, np.float32)}
    )
    with pytest.raises(ModelError, match="not a number"):
        async with host_of(path):
            raise AssertionError("it must not start")


async def test_a_model_of_a_fixed_batch_answers_each_row(tmp_path: Path) -> None:
    async with host_of(models.write_seeing(tmp_path / "m.onnx", batch=4)) as host:
        assert host.metadata.max_batch == 4
        found = await asyncio.gather(*(ask(host, value) for value in (0.1, 0.2, 0.3, 0.4, 0.5)))
        np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-5)


async def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded as ONNX"):
        async with host_of(tmp_path / "m.onnx"):
            raise AssertionError("it must not start")
