"""Real local inference on the sub stream: its detections are in the main stream's run."""

import asyncio
from pathlib import Path

import pytest

from domain.events import Detection, FragmentArrived, RunStarted
from domain.times import utc_ms
from edge_bridge.capture.reader_choice import ReaderChoice
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import FrameSink, RecordingContext
from edge_bridge.config import CameraConfig
from edge_bridge.config.inference import InferenceConfig, MotionConfig
from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.inference.supervisor import WorkerSupervisor
from media.fragmenter import FragmentLimits
from tests.footage import write_clip
from tests.integration.inference_support import FPS, seeing_card
from tests.recording_sink import PieceCollector
from tests.waiting import wait_for

CAMERA = "acme/berlin/gate"


class Recorded(PieceCollector):
    """What was recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: list[FragmentArrived] = []

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        del started
        self.whole(event, data)
        self.fragments.append(event)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        pass


class Noted:
    """Passes frames on, and notes the pts of those of the sub stream."""

    def __init__(self, frames: FrameSink) -> None:
        self._frames = frames
        self.sub: set[int] = set()

    def offer(self, picture: EncodedFrame) -> bool:
        if picture.codec_parameters.width == 96:
            self.sub.add(picture.pts)
        return self._frames.offer(picture)


@pytest.mark.slow
async def test_detections_of_the_sub_stream_are_in_the_recorded_run(tmp_path: Path) -> None:
    main = await asyncio.to_thread(write_clip, tmp_path / "main.mp4", 60 * FPS)
    sub = await asyncio.to_thread(
        write_clip, tmp_path / "sub.mp4", 60 * FPS, width=96, height=64, b_frames=2
    )
    events: list[Detection] = []

    async def keep(event: Detection) -> None:
        events.append(event)

    card = seeing_card(tmp_path)
    inference = WorkerSupervisor(
        InferenceConfig(model=str(card), motion=MotionConfig(enabled=False)), keep
    )
    running = asyncio.create_task(inference.run())
    recorded, frames_sink = Recorded(), Noted(inference.frames)
    recording = RecordingContext(
        CAMERA, "e1", "main", FragmentLimits(target_ms=2_000), recorded, frames_sink,
        utc_ms,
    )  # fmt: skip
    config = CameraConfig(id="gate", url=main.as_uri(), sub_url=sub.as_uri())
    recorder = Recorder(config, recording, 5, opener=ReaderChoice().open)
    try:
        await wait_for(lambda: inference.state == "working", within_s=60, what="a worker")
        recorder.start()

        def of_sub() -> list[int]:
            frames = [frame.pts for event in events for frame in event.frames]
            return [pts for pts in frames if pts in frames_sink.sub]

        await wait_for(lambda: len(of_sub()) >= 5, within_s=60, what="five pictures of it")
    finally:
        recorder.stop()
        await asyncio.to_thread(recorder.join, 10)
        running.cancel()
        await asyncio.wait([running])
    assert {event.run for event in recorded.fragments} == {event.run for event in events}
    frames = [frame for event in events for frame in event.frames]
    assert [one.pts for one in frames] == sorted({one.pts for one in frames})
    for one in frames:
        within = [
            event
            for event in recorded.fragments
            if event.start_ms - 100 <= one.at_ms <= event.end_ms + 100
        ]
        assert within, "it is in recorded footage"
        assert any(
            event.start_pts - 9_000 <= one.pts <= event.start_pts + (event.duration_ms + 100) * 90
            for event in within
        )
    assert all(found.box == (0.25, 0.25, 0.5, 0.5) for one in frames for found in one.objects)
