"""Cameras that flap, hang, send garbage and worse: the good ones next to them lose no frame."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from edge_bridge.capture import error_text, ffmpeg_source
from edge_bridge.capture.recent_urls import RecentUrls
from edge_bridge.clock import EdgeClock
from edge_bridge.config import CameraConfig
from edge_bridge.recorders import RecorderManager
from edge_bridge.rtsp.errors import CameraError
from local.cameras import CameraServer
from media import keyframes
from tests.footage import write_clip
from tests.hostile_rtsp import BEHAVIOURS, Hostile
from tests.recording_sink import MemoryGrowth, MemorySink, follow, recording
from tests.waiting import wait_for

FPS = 25
MOST_GROWTH = 300 << 20
"""Of the process's memory, with all hostile cameras at once; they offer it gigabytes."""

_ENDLESS = "is too long or never ends"
_NOTHING = "sends none that can be read"
SAYS: Mapping[str, tuple[str, ...]] = {
    "garbage": ("does not speak RTSP",),
    "hang": ("accepts connections but does not answer",),
    "drip": (_ENDLESS,),
    "headers": (_ENDLESS,),
    "line": (_ENDLESS,),
    "length": (_ENDLESS,),
    "sdp": ("no video: choose another one",),
    "tracks": (_ENDLESS,),
    "redirect": ("redirects to another address",),
    "elsewhere": ("choose another stream or transport",),
    "refuses": ("rejected the user name or password (401): correct them",),
    "sha": ("SHA-512-256, which is not supported: allow MD5",),
    "blind": ("waiting for a keyframe",),
    "packets": (_NOTHING,),
    "lies": (_NOTHING,),
    "extension": (_NOTHING,),
    "jpeg": ("sends mjpeg, which Vigil does not record: set it to H.264 or H.265",),
    "unknown": ("video codec is unknown: set it to H.264 or H.265",),
    "deaf": ("no video: choose another one",),
    "still": ("time stamps do not advance",),
    "zero": (_NOTHING,),
}


async def test_an_endless_camera_is_closed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_text, "OPEN_TIMEOUT_S", 1)
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", FPS)
    names = ("garbage", "hang", "drip", "headers", "line", "length", "sdp", "tracks", "redirect")
    memory = MemoryGrowth()
    with contextlib.ExitStack() as stack:
        hostile = {name: stack.enter_context(Hostile(name, clip)) for name in names}

        redirecting = RecentUrls()

        def problem_of(one: Hostile) -> str:
            camera = CameraConfig(id="one", url=one.url)
            with pytest.raises(CameraError) as refused:
                ffmpeg_source.FfmpegSource(camera, 1, lambda: 0, redirecting)
            return str(refused.value)

        opened = [asyncio.to_thread(problem_of, hostile[name]) for name in names]
        for name, problem in zip(names, await asyncio.gather(*opened), strict=True):
            assert any(text in problem for text in SAYS[name]), (name, problem)
        # FFmpeg would follow a redirect without end: the second time it does not open it.
        redirected = hostile["redirect"].connections
        assert "another address" in await asyncio.to_thread(problem_of, hostile["redirect"])
        assert hostile["redirect"].connections == redirected + 1
    memory.measure()
    assert memory.growth < MOST_GROWTH


@pytest.mark.slow
async def test_bad_cameras_cost_the_good_ones_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_text, "OPEN_TIMEOUT_S", 4)
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 120 * FPS)
    steady = await asyncio.to_thread(
        CameraServer.start,
        tmp_path / "a",
        [{"name": "good", "file": str(clip)}, {"name": "better", "file": str(clip)}],
    )
    flapping = await asyncio.to_thread(
        CameraServer.start, tmp_path / "b", [{"name": "flaps", "file": str(clip)}]
    )
    sink = MemorySink()
    recorded = RecorderManager(sink, EdgeClock())
    hostile = {name: Hostile(name, clip) for name in BEHAVIOURS}
    urls = {
        "good": steady.urls["good"], "flaps": flapping.urls["flaps"],
        **{name: one.url for name, one in hostile.items()},
    }  # fmt: skip
    monkeypatch.setenv("CAMERA_PASSWORD", "s3cret")
    user = {"username": "vigil", "password_env": "CAMERA_PASSWORD"}
    cameras: list[Mapping[str, object]] = [
        {"id": name, "url": url, "audio": False, **(user if name in ("refuses", "sha") else {})}
        for name, url in urls.items()
    ]
    cameras.append({"id": "better", "url": steady.urls["better"], "transport": "udp"})
    process = psutil.Process()
    udp_before = len(process.net_connections("udp"))
    memory = MemoryGrowth()
    details: dict[str, set[str]] = {name: set() for name in urls}

    def look() -> None:
        memory.measure()
        for status in recorded.statuses:
            details.setdefault(status.camera.split("/")[-1], set()).add(status.detail)

    def is_reported(name: str) -> bool:
        look()
        return any(any(text in one for text in SAYS[name]) for one in details[name])

    with contextlib.ExitStack() as stack:
        for one in hostile.values():
            stack.enter_context(one)
        try:
            await recorded.apply(recording(tmp_path, cameras), None)
            for flap in range(3):
                await wait_for(
                    lambda flap=flap: look() or len(sink.runs("flaps")) > flap,
                    within_s=60,
                    what=f"run {flap} of the camera that flaps",
                )
                await asyncio.to_thread(flapping.kill)
                await wait_for(
                    lambda flap=flap: look() or sink.runs("flaps")[flap] in sink.ends,
                    within_s=30,
                    what="its run ends",
                )
                if flap < 2:
                    await asyncio.to_thread(flapping.restart)
            assert len(process.net_connections("udp")) > udp_before, "the better one sends by UDP"
            for name in SAYS:
                await wait_for(
                    lambda name=name: is_reported(name),
                    within_s=30,
                    what=lambda: f"what is wrong: {details}",
                )
        finally:
            await recorded.stop()
            await asyncio.to_thread(steady.stop)
            await asyncio.to_thread(flapping.stop)
    print({name: sorted(texts) for name, texts in details.items()})
    print(f"{memory.growth >> 20} MiB more at most")
    assert memory.growth < MOST_GROWTH
    for name in ("good", "better"):
        (run,) = sink.runs(name)
        numbers = await asyncio.to_thread(sink.numbers, run, tmp_path)
        assert follow(numbers) and len(numbers) > 5 * FPS, name
    assert len(sink.runs("flaps")) == 3
    assert len(sink.runs("jumps")) == 1, "its times are corrected, and all is recorded"
    for run in sink.runs("flaps"):
        assert follow(await asyncio.to_thread(sink.numbers, run, tmp_path))
    for name in BEHAVIOURS:
        assert not any("unexpected" in text for text in details[name]), details[name]
        for run in sink.runs(name):
            assert name in ("still", "jumps", "long"), "nothing else of it can be recorded"
            for event, data in sink.fragments[run]:
                assert keyframes.index_video(data, event.start_pts).frames == event.frames > 0
