"""Audio that is offered: it is recorded from when it comes, and no fragment has an empty track."""

import io
from pathlib import Path

import av
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

FRAMES = 200
NEVER = 10_000


@pytest.mark.parametrize(
    ("audio_from", "runs"),
    [
        (0, [("aac", range(200))]),
        (20, [("aac", range(200))]),  # the first frames wait for a second
        (60, [(None, range(75)), ("aac", range(75, 200))]),
        (76, [(None, range(75)), ("aac", range(75, 200))]),  # when keyframe 75 is complete
        (77, [(None, range(100)), ("aac", range(100, 200))]),
        (NEVER, [(None, range(200))]),
    ],
)
async def test_audio_that_comes_late_begins_a_new_run(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    audio_from: int,
    runs: list[tuple[str | None, range]],
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", FRAMES, gop=25)
    clock, kept = SimulatedClock(), RecordingCollector()
    limits = FragmentLimits(target_ms=1_000)
    recording = RecordingContext(CAMERA, "e1", "main", limits, kept, None, clock.now_ms)
    with simulated_camera(monkeypatch, clock, access_units(clip), audio_from=audio_from) as open_it:
        source = open_it()
        assert bool(source.audio_problem) == (audio_from >= 60)
        config = CameraConfig(id="gate", url="rtsp://192.0.2.1/")
        recorder = Recorder(config, recording, 10, opener=lambda *_: source)
        recorder.start()
        await wait_for(lambda: len(kept.ends) >= len(runs), within_s=20, what="runs end")
        recorder.stop()
        assert recorder.join(20)
    for (run, _, reason), (codec, numbers) in zip(kept.ends, runs, strict=True):
        path = tmp_path / f"{run}.ts"
        path.write_bytes(b"".join(data for event, data in kept.fragments if event.run == run))
        assert list(numbers_in(path)) == list(numbers)
        assert reason == ("the camera closed the stream" if numbers[-1] == 199 else AUDIO_CAME)
        for event, data in kept.fragments:
            if event.run == run:
                assert event.audio_codec == codec
                with av.open(io.BytesIO(data), format="mpegts") as fragment:
                    assert len(fragment.streams.audio) == (codec is not None)
                    if codec and numbers[0] < event.seq * 25:
                        assert any(packet.size for packet in fragment.demux(audio=0))


AUDIO_CAME = "the camera's audio came"
