"""A new worker takes over: a new model, a bad one, an old worker that grew too large."""

import os
from pathlib import Path

import psutil
import pytest
from prometheus_client import REGISTRY

from domain.events import Detection
from edge_bridge.config.inference import InferenceConfig, MotionConfig
from edge_bridge.inference import supervisor
from tests.integration.inference_support import (
    frames_of,
    restarts,
    running,
    seeing_card,
    ten_seconds,
)
from tests.unit.edge_bridge.encoded_frames import CAMERA, Clip, at_ms_of
from tests.waiting import wait_for

ALWAYS = MotionConfig(enabled=False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return ten_seconds(tmp_path_factory.mktemp("clip"))


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def dropped() -> float:
    return metric("vigil_inference_dropped_gops_total", camera=CAMERA)


def of_version(events: list[Detection], version: str) -> list[Detection]:
    return [event for event in events if event.model_version == version]


def pts_of(events: list[Detection]) -> list[int]:
    return [pts for pts, _ in frames_of(events)]


@pytest.mark.slow
async def test_a_new_model_takes_over_and_a_bad_one_does_not(
    clip: Clip, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = seeing_card(tmp_path)
    config = InferenceConfig(model=str(card), watch_s=0.2, motion=ALWAYS)
    taken = metric("vigil_inference_swaps_total", outcome="taken")
    refused = metric("vigil_inference_swaps_total", outcome="refused")
    crashed = sum(restarts(reason) for reason in ("crashed", "hung", "model", "garbled"))
    async with running(clip, config) as (inference, _, events):
        await wait_for(lambda: len(frames_of(events)) >= 5, within_s=60, what="frames")
        first, lost = inference.pid, dropped()

        seeing_card(tmp_path, version="2")
        await wait_for(lambda: of_version(events, "2"), within_s=60, what="the new model")
        await wait_for(lambda: not psutil.pid_exists(first or 0), within_s=60, what="the old's end")
        second = inference.pid
        assert second not in {first, None}
        assert metric("vigil_inference_swaps_total", outcome="taken") == taken + 1

        (tmp_path / "model.onnx").write_bytes(b"not a model")
        await wait_for(lambda: inference.detail, within_s=60, what="the failed takeover")
        assert "cannot be loaded as ONNX" in inference.detail
        assert inference.takeover == "failed"
        assert "continues" in caplog.text
        assert "Traceback" not in caplog.text
        seen = len(of_version(events, "2"))
        await wait_for(lambda: len(of_version(events, "2")) > seen, within_s=60, what="more of it")
        assert (inference.pid, inference.state) == (second, "working")
        assert metric("vigil_inference_swaps_total", outcome="refused") == refused + 1

        seeing_card(tmp_path, version="3")
        await wait_for(lambda: of_version(events, "3"), within_s=60, what="the corrected model")
        assert (inference.takeover, inference.detail) == ("none", "")
        assert dropped() == lost, "packets flow while workers change"
    assert sum(restarts(r) for r in ("crashed", "hung", "model", "garbled")) == crashed
    frames = frames_of(events)
    assert len({pts for pts, _ in frames}) == len(frames), "no picture is reported twice"
    assert all(at_ms == at_ms_of(pts) for pts, at_ms in frames)
    last_of_first = max(pts_of(of_version(events, "1")))
    assert last_of_first < min(pts_of(of_version(events, "2")))


@pytest.mark.slow
async def test_a_worker_that_grew_too_large_is_recycled(
    clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RECYCLE_AGAIN_S", 1.0)
    config = InferenceConfig(model=str(seeing_card(tmp_path)), recycle_mib=64, motion=ALWAYS)
    async with running(clip, config) as (inference, _, events):
        first = await wait_for(lambda: inference.pid, within_s=60, what="a worker")
        await wait_for(lambda: inference.pid not in {first, None}, within_s=60, what="another")
        seen = len(frames_of(events))
        await wait_for(lambda: len(frames_of(events)) > seen, within_s=60, what="more frames")
    frames = frames_of(events)
    assert len({pts for pts, _ in frames}) == len(frames)


@pytest.mark.slow
async def test_an_old_worker_that_crashes_while_a_new_one_loads_is_restarted(
    clip: Clip, tmp_path: Path
) -> None:
    config = InferenceConfig(model=str(seeing_card(tmp_path)), motion=ALWAYS)
    crashed = restarts("crashed")
    async with running(clip, config) as (inference, _, events):
        await wait_for(lambda: frames_of(events), within_s=60, what="frames")
        first = inference.pid
        assert first is not None
        inference.replace("the test requests it")
        os.kill(first, 9)
        await wait_for(lambda: restarts("crashed") == crashed + 1, within_s=60, what="the crash")
        seen = len(frames_of(events))
        await wait_for(lambda: len(frames_of(events)) > seen, within_s=60, what="more frames")
        children = psutil.Process().children()
        workers = [one for one in children if "edge_bridge.inference" in " ".join(one.cmdline())]
        assert [one.pid for one in workers] == [inference.pid]
