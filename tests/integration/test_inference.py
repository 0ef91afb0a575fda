"""Local inference in its real process: exact times, crashes, hangs, wrong models."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from prometheus_client import REGISTRY

from domain.errors import StoreError
from domain.events import Detection
from edge_bridge.config.inference import InferenceConfig, MotionConfig
from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from tests.integration.inference_support import (
    frames_of,
    restarts,
    running,
    seeing_card,
    ten_seconds,
)
from tests.unit.edge_bridge.encoded_frames import CAMERA, RUN, Clip, at_ms_of
from tests.unit.vision.models import write_hanging
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return ten_seconds(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return seeing_card(tmp_path)


async def test_detections_carry_the_exact_times_of_the_pictures(clip: Clip, card: Path) -> None:
    config = InferenceConfig(model=str(card), rate_fps=5, motion=MotionConfig(enabled=False))
    async with running(clip, config) as (inference, camera, events):
        await wait_for(lambda: len(frames_of(events)) >= 30, within_s=60, what="30 frames")
        assert inference.state == "working"
        pid = inference.pid
        assert pid is not None and pid != os.getpid()
        assert psutil.Process(pid).nice() - psutil.Process().nice() >= 5
    frames = frames_of(events)
    assert all(pts in camera.offered for pts, _ in frames)
    assert all(at_ms == at_ms_of(pts) for pts, at_ms in frames)
    assert [pts for pts, _ in frames] == sorted({pts for pts, _ in frames})
    for event in events:
        assert (event.camera, event.run, event.model, event.model_version) == (
            CAMERA,
            RUN,
            "tiny",
            "1",
        )
        assert 1 <= len(event.frames) <= 50
        assert {found.label for frame in event.frames for found in frame.objects} <= {
            "person",
            "car",
            "dog",
        }
        assert all(found.box == (0.25, 0.25, 0.5, 0.5) for f in event.frames for found in f.objects)
    labels = {"model": "tiny", "version": "1", "provider": "CPUExecutionProvider"}
    assert REGISTRY.get_sample_value("vigil_detector_info", labels) == 1
    assert not psutil.pid_exists(pid)


async def test_a_killed_worker_restarts_and_continues_at_a_keyframe(clip: Clip, card: Path) -> None:
    config = InferenceConfig(model=str(card), motion=MotionConfig(enabled=False))
    crashed = restarts("crashed")
    async with running(clip, config) as (inference, _, events):
        await wait_for(lambda: len(frames_of(events)) >= 5, within_s=60, what="frames")
        first = inference.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await wait_for(lambda: inference.pid not in {first, None}, within_s=60, what="a new worker")
        seen = len(frames_of(events))
        await wait_for(lambda: len(frames_of(events)) >= seen + 5, within_s=60, what="more frames")
        assert inference.state == "working"
    assert restarts("crashed") == crashed + 1
    frames = frames_of(events)
    assert all(at_ms == at_ms_of(pts) for pts, at_ms in frames)
    assert len({pts for pts, _ in frames}) == len(frames), "no picture is reported twice"
    dropped = REGISTRY.get_sample_value("vigil_inference_dropped_gops_total", {"camera": CAMERA})
    assert dropped and dropped >= 1


async def test_a_hung_worker_is_killed_and_restarted(clip: Clip, card: Path) -> None:
    config = InferenceConfig(model=str(card), hang_s=5, motion=MotionConfig(enabled=False))
    hung = restarts("hung")
    async with running(clip, config) as (inference, _, events):
        await wait_for(lambda: frames_of(events), within_s=60, what="frames")
        first = inference.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await wait_for(lambda: restarts("hung") == hung + 1, within_s=30, what="noticed")
        assert not psutil.pid_exists(first)
        seen = len(frames_of(events))
        await wait_for(lambda: len(frames_of(events)) > seen, within_s=60, what="more frames")


@pytest.mark.slow
async def test_a_model_that_never_answers_is_noticed_while_decoding_continues(
    clip: Clip, card: Path
) -> None:
    config = InferenceConfig(
        model=str(card), hang_s=2, watch_s=0, motion=MotionConfig(enabled=False)
    )
    write_hanging(card.parent / "model.onnx")
    hung = restarts("hung")
    async with running(clip, config) as (inference, camera, events):
        first = await wait_for(lambda: inference.pid, within_s=60, what="a worker")
        await wait_for(lambda: camera.offered, within_s=60, what="the model is loaded")
        await wait_for(lambda: restarts("hung") > hung, within_s=60, what="noticed")
        assert not psutil.pid_exists(first)
        assert not frames_of(events)
        seeing_card(card.parent)
        await wait_for(lambda: frames_of(events), within_s=60, what="frames of a better model")


@pytest.mark.parametrize("fault", ["not onnx", "no card", "no provider"])
async def test_a_wrong_model_is_reported_and_tried_again(
    clip: Clip, card: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = InferenceConfig(model=str(card))
    expected = "cannot be loaded as ONNX"
    good = (card.parent / "model.onnx").read_bytes()
    if fault == "not onnx":
        (card.parent / "model.onnx").write_bytes(b"nothing of the kind")
    elif fault == "no card":
        config, expected = InferenceConfig(model=str(card) + ".old"), "cannot be read"
    else:
        config = InferenceConfig(model=str(card), providers=["openvino"])
        expected = "OpenVINOExecutionProvider was asked for"
    async with running(clip, config) as (inference, camera, events):
        await wait_for(lambda: expected in inference.detail, within_s=60, what=expected)
        assert expected in caplog.text
        assert "Traceback" not in caplog.text
        assert not frames_of(events)
        assert not camera.offered, "nothing waits while no worker runs"
        if fault == "not onnx":
            (card.parent / "model.onnx").write_bytes(good)
            await wait_for(
                lambda: frames_of(events), within_s=90, what="frames once it is corrected"
            )
            assert inference.detail == ""


async def test_a_full_outbox_does_not_end_inference(
    clip: Clip, card: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refused = []

    def refuse_twice(event: Detection) -> None:
        if len(refused) < 2:
            refused.append(event)
            raise StoreError("The disk is full: free some space.")

    config = InferenceConfig(model=str(card), motion=MotionConfig(enabled=False))
    async with running(clip, config, refuse_twice) as (inference, _, events):
        first = await wait_for(lambda: inference.pid, within_s=60, what="a worker")
        await wait_for(lambda: frames_of(events), within_s=60, what="frames")
        assert inference.pid == first
    assert len(refused) == 2
    assert "detections are lost: The disk is full" in caplog.text
    assert "Traceback" not in caplog.text


async def test_an_unknown_codec_of_one_camera_does_not_affect_others(
    clip: Clip, card: Path
) -> None:
    config = InferenceConfig(model=str(card), motion=MotionConfig(enabled=False))
    async with running(clip, config) as (inference, _, events):
        await wait_for(lambda: inference.state == "working", within_s=60, what="a worker")
        pid = inference.pid
        for number in range(3):
            parameters = CodecParameters("nonsense", b"", 64, 64)
            inference.frames.offer(
                EncodedFrame("acme/north/odd", RUN, bytes(100), number, number, True, parameters)
            )
        labels = {"camera": "acme/north/odd", "outcome": "broken"}
        name = "vigil_inference_pictures_total"
        await wait_for(
            lambda: (REGISTRY.get_sample_value(name, labels) or 0) >= 3,
            within_s=60,
            what="counted as broken",
        )
        seen = len(frames_of(events))
        await wait_for(lambda: len(frames_of(events)) > seen, within_s=60, what="more frames")
        assert inference.pid == pid


async def test_the_worker_ends_when_the_recording_process_is_killed() -> None:
    program = textwrap.dedent(
        """
        import asyncio
        from edge_bridge.config.inference import InferenceConfig
        from edge_bridge.inference.supervisor import WorkerSupervisor

        async def main():
            async def keep(event): pass
            inference = WorkerSupervisor(InferenceConfig(), keep)
            task = asyncio.create_task(inference.run())
            while inference.state != "working":
                await asyncio.sleep(0.05)
            print(inference.pid, flush=True)
            await task

        asyncio.run(main())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert parent.stdout is not None
    try:
        worker = int(await asyncio.to_thread(parent.stdout.readline))
        assert psutil.pid_exists(worker)
    finally:
        parent.kill()
        parent.wait()
    await wait_for(lambda: not psutil.pid_exists(worker), within_s=30, what="the worker's end")
