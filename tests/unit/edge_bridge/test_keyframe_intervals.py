"""Keyframe intervals from 0.2 s to 10 minutes, on a simulated clock."""

from itertools import islice
from pathlib import Path

import pytest

from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import RecordingContext
from edge_bridge.config import CameraConfig
from media.fragmenter import FragmentLimits
from tests.footage import numbers_in, write_clip
from tests.rtsp_camera import access_units
from tests.unit.edge_bridge.simulated_camera import SimulatedClock, simulated_camera
from tests.unit.edge_bridge.test_capture import CAMERA, RecordingCollector
from tests.waiting import wait_for


@pytest.mark.parametrize(
    ("frame_s", "gop", "missed", "count"),
    [
        (0.04, 5, 3, 300),
        (0.04, 300, 10, 900),
        (0.5, 180, 100, 800),
        (1.0, 600, 50, 1_900),
    ],
    ids=["0.2 s", "12 s", "90 s", "10 minutes"],
)
async def test_every_frame_from_the_first_keyframe_on_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    frame_s: float,
    gop: int,
    missed: int,
    count: int,
) -> None:
    """The camera is connected in the middle of a GOP: its first frames are `missed`."""
    clip = write_clip(tmp_path / "clip.mp4", count, gop=gop, width=96, height=64)
    clock, kept = SimulatedClock(), RecordingCollector()
    recording = RecordingContext(CAMERA, "e1", "main", FragmentLimits(), kept, None, clock.now_ms)
    frames = islice(access_units(clip), missed, None)
    with simulated_camera(monkeypatch, clock, frames, frame_s=frame_s) as open_it:
        config = CameraConfig(id="gate", url="rtsp://192.0.2.1/")
        source = open_it()
        recorder = Recorder(config, recording, 10, opener=lambda *_: source)
        recorder.start()
        await wait_for(lambda: len(kept.ends) == 1, within_s=30, what="the run ends")
        recorder.stop()
        assert recorder.join(20)
    (tmp_path / "run.ts").write_bytes(b"".join(data for _, data in kept.fragments))
    assert list(numbers_in(tmp_path / "run.ts")) == list(range(gop, count))
    longest_ms = max(event.duration_ms for event, _ in kept.fragments)
    assert longest_ms <= 61_000
    interval_s = gop * frame_s
    without = [event for event, _ in kept.fragments if not event.keyframes]
    assert bool(without) == (interval_s > 60)
