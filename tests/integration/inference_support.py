"""A clip played into local inference in its real process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from domain.events import Detection
from edge_bridge.config.inference import InferenceConfig
from edge_bridge.inference.supervisor import WorkerSupervisor
from tests.footage import write_clip
from tests.unit.edge_bridge.encoded_frames import Clip, read_clip
from tests.unit.vision.models import write_card, write_seeing
from tests.waiting import wait_for

FPS = 25


def ten_seconds(folder: Path) -> Clip:
    """Return a clip with a keyframe a second."""
    return read_clip(write_clip(folder / "clip.mkv", 250, fps=FPS, gop=25, b_frames=2))


def seeing_card(folder: Path, **changes: Any) -> Path:
    """Write a model that finds one object, of half the size, in the middle of every picture."""
    write_seeing(folder / "model.onnx")
    spec = {"width": 64, "height": 64, "scale": 1 / 255, "resize": "stretch"}
    output = {"layout": "yolov8"}
    return write_card(folder, output, input=spec, thresholds={"score": 0.01}, **changes)


class Camera:
    """Plays a clip over and over into a frame queue, as one unbroken run."""

    def __init__(self, clip: Clip, inference: WorkerSupervisor) -> None:
        self._clip, self._inference = clip, inference
        self.offered: set[int] = set()

    async def play(self) -> None:
        offset = 0
        while True:
            for index, (_, pts, _) in enumerate(self._clip.packets):
                if self._clip.offer(self._inference.frames, index, offset=offset):
                    self.offered.add(pts + offset)
                # Three times real time, without overload: another test covers that.
                await asyncio.sleep(1 / FPS / 3)
                await wait_for(
                    lambda: self._inference.frames.waiting <= 40, within_s=60, what="room"
                )
            offset += self._clip.duration


@contextlib.asynccontextmanager
async def running(
    clip: Clip,
    config: InferenceConfig,
    on_detections: Callable[[Detection], Any] | None = None,
) -> AsyncIterator[tuple[WorkerSupervisor, Camera, list[Detection]]]:
    events: list[Detection] = []

    async def keep(event: Detection) -> None:
        if on_detections is not None:
            on_detections(event)
        events.append(event)

    inference = WorkerSupervisor(config, keep)
    camera = Camera(clip, inference)
    tasks = [asyncio.create_task(inference.run()), asyncio.create_task(camera.play())]
    try:
        yield inference, camera, events
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
        assert inference.pid is None


def frames_of(events: list[Detection]) -> list[tuple[int, int]]:
    return [(frame.pts, frame.at_ms) for event in events for frame in event.frames]


def restarts(reason: str) -> float:
    name = "vigil_inference_restarts_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0
