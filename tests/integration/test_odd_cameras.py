"""Odd cameras, all at once with a normal one: what they send is recorded frame by frame."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from edge_bridge.clock import EdgeClock
from edge_bridge.recorders import RecorderManager
from tests.footage import write_clip
from tests.odd_rtsp import (
    H265,
    HOUR,
    Changing,
    aac,
    alaw,
    camera,
    jumping,
    other_vps,
)
from tests.recording_sink import MemoryGrowth, MemorySink, recording
from tests.rtsp_camera import H264, RtspCamera, pictures
from tests.waiting import wait_for

FPS = 25
SECONDS = 8
FRAMES = SECONDS * FPS
MOST_MISSING = 3 * FPS
"""Of a camera's last run: the frames in the fragment that is being written."""
MOST_GROWTH = 250 << 20
AUDIO_S = {"alaw": 5, "audio-stops": 2, "aac": 5, "aac-other": 1}
"""Seconds of audio that can be decoded, at least."""


@dataclass(frozen=True)
class Expected:
    """What must be recorded of a camera."""

    runs: tuple[range, ...] = (range(FRAMES),)
    """The numbers of each run's pictures; fewer may be there at the end."""
    why: str = ""
    """Why the first run ends, where another follows."""
    audio: str | None = None


@pytest.mark.slow
async def test_odd_cameras_are_recorded_frame_by_frame(tmp_path: Path) -> None:
    def clip(name: str, **how: object) -> Path:
        return write_clip(tmp_path / f"{name}.mp4", FRAMES, **how)  # type: ignore[arg-type]

    plain = await asyncio.to_thread(clip, "plain")
    seldom = await asyncio.to_thread(clip, "seldom", gop=125)
    larger = await asyncio.to_thread(clip, "larger", width=256)
    hevc = await asyncio.to_thread(clip, "hevc", codec="libx265")
    hevc2 = await asyncio.to_thread(clip, "hevc2", codec="libx265", width=1_280)
    whole = range(FRAMES)
    odd: dict[str, tuple[RtspCamera, Expected]] = {
        "plain": (camera(H264, lambda: pictures(plain)), Expected()),
        "no-fps": (camera(H264 + "\na=framerate:0", lambda: pictures(plain)), Expected()),
        "mad-fps": (camera(H264 + "\na=framerate:9e9", lambda: pictures(plain)), Expected()),
        "late-sets": (
            camera(H264, lambda: (p for p in pictures(seldom) if p.at_s > 0.2)),
            Expected((range(125, FRAMES),)),
        ),
        "forward": (jumping(plain, HOUR, 75), Expected()),
        "back": (jumping(plain, -3 * 90_000, 80), Expected()),
        "changes": (
            Changing(plain, larger, 75),
            Expected((range(75), whole), "changed its video's size"),
        ),
        "hevc-vps": (camera(H265, lambda: other_vps(hevc, hevc2, 100)), Expected()),
        "alaw": (camera(H264, lambda: pictures(plain), alaw(SECONDS)), Expected(audio="aac")),
        "audio-stops": (camera(H264, lambda: pictures(plain), alaw(3)), Expected(audio="aac")),
        "no-audio": (camera(H264, lambda: pictures(plain), alaw(0)), Expected()),
        "aac": (
            camera(H264, lambda: pictures(plain), aac(SECONDS, ";config=1188")),
            Expected(audio="aac"),
        ),
        "aac-other": (
            camera(H264, lambda: pictures(plain), aac(SECONDS, ";config=1210", "44100/2")),
            Expected(audio="aac"),
        ),
        "aac-rubbish": (
            camera(H264, lambda: pictures(plain), aac(SECONDS, ";config=ffffffff")),
            Expected(),
        ),
        "aac-none": (camera(H264, lambda: pictures(plain), aac(SECONDS, "")), Expected()),
    }
    sink = MemorySink()
    recorded = RecorderManager(sink, EdgeClock())
    memory = MemoryGrowth()
    cameras = [{"id": name, "url": one.url} for name, (one, _) in odd.items()]

    def recorded_whole(name: str) -> bool:
        memory.measure()
        wanted, runs = odd[name][1].runs, sink.runs(name)
        if len(runs) < len(wanted):
            return False
        last = sink.fragments[runs[len(wanted) - 1]]
        return sum(event.frames for event, _ in last) >= len(wanted[-1]) - MOST_MISSING

    with contextlib.ExitStack() as stack:
        for one, _ in odd.values():
            stack.enter_context(one)
        try:
            await recorded.apply(recording(tmp_path, cameras), None)
            for name in odd:
                await wait_for(
                    lambda name=name: recorded_whole(name),
                    within_s=60,
                    what=lambda name=name: f"{name} is recorded: {recorded.statuses}",
                )
        finally:
            await recorded.stop()
    print(f"{memory.growth >> 20} MiB more at most")
    assert memory.growth < MOST_GROWTH
    for name, (_, expected) in odd.items():
        runs = sink.runs(name)[: len(expected.runs)]
        for run, wanted in zip(runs, expected.runs, strict=True):
            numbers = await asyncio.to_thread(sink.numbers, run, tmp_path)
            assert numbers == list(wanted)[: len(numbers)], name
            if run != runs[-1]:
                assert len(numbers) == len(wanted), f"{name} lost pictures where a run ends"
                assert expected.why in sink.ends[run]
            audio = sink.fragments[run][0][0].audio_codec
            assert audio == expected.audio, name
            if name in AUDIO_S:
                assert heard_s(sink.joined(run, tmp_path)) > AUDIO_S[name], name


def heard_s(path: Path) -> float:
    with av.open(str(path)) as clip:
        samples = sum(frame.samples for frame in clip.decode(audio=0))
        return samples / clip.streams.audio[0].rate
