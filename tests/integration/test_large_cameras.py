"""Cameras of 3840x2160 at 60 pictures a second and 18 Mbit/s: cut as all others, memory bounded."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from edge_bridge.clock import EdgeClock
from edge_bridge.recorders import RecorderManager
from media import keyframes
from tests.footage import numbers_in, write_clip
from tests.odd_rtsp import H265, camera
from tests.recording_sink import MemoryGrowth, MemorySink, recording
from tests.rtsp_camera import H264, Packet, RtspCamera, access_units
from tests.waiting import wait_for

FPS = 60
GOP = 12
FRAGMENTS = 3
MOST_GROWTH = 250 << 20
"""Of the process's memory, for both cameras; what is kept of them is 30 MB."""
_PIECE = 50_000


def full(clip: Path, filler: int) -> Iterator[Packet]:
    """Yield a clip's pictures over and over, filled up with NAL units of filler to 18 Mbit/s."""
    head = {12: bytes([12]), 38: bytes([38 << 1, 1])}[filler]
    group = list(access_units(clip))
    for number in range(3_600 * FPS):
        at_s, ticks = number / FPS, number * 90_000 // FPS
        key = number % len(group) == 0
        fill = [head + b"\xff" * (_PIECE if key else 5_000) + b"\x80"] * (8 if key else 1)
        nals = [*group[number % len(group)], *fill]
        for place, nal in enumerate(nals):
            yield Packet(at_s, ticks, place == len(nals) - 1, nal)


@pytest.mark.slow
async def test_4k_at_60_is_recorded_frame_by_frame(tmp_path: Path) -> None:
    h264, h265 = await asyncio.gather(
        *(
            asyncio.to_thread(
                write_clip, tmp_path / f"{codec}.mp4", GOP,
                fps=FPS, gop=GOP, codec=codec, width=3_840, height=2_160,
            )
            for codec in ("libx264", "libx265")
        )
    )  # fmt: skip
    large: dict[str, RtspCamera] = {
        "h264": camera(H264, lambda: full(h264, 12)),
        "hevc": camera(H265, lambda: full(h265, 38)),
    }
    sink, memory = MemorySink(), MemoryGrowth()
    recorded = RecorderManager(sink, EdgeClock())

    def enough() -> bool:
        memory.measure()
        runs = [sink.runs(name) for name in large]
        return all(run and len(sink.fragments[run[0]]) >= FRAGMENTS for run in runs)

    with contextlib.ExitStack() as stack:
        cameras = [{"id": name, "url": stack.enter_context(one).url} for name, one in large.items()]
        try:
            await recorded.apply(recording(tmp_path, cameras), None)
            await wait_for(enough, within_s=60, what=lambda: f"both: {recorded.statuses}")
        finally:
            await recorded.stop()
    print(f"{memory.growth >> 20} MiB more at most")
    assert memory.growth < MOST_GROWTH
    for name in large:
        (run,) = sink.runs(name)
        kept = sink.fragments[run]
        for event, data in kept[:-1]:
            assert (event.width, event.height, event.video_codec) == (3_840, 2_160, name)
            assert event.frames == 2 * FPS and abs(event.duration_ms - 2_000) <= 2
            assert len(event.keyframes) == 2 * FPS // GOP
            assert event.keyframes[0].size > 8 * _PIECE
            assert keyframes.index_video(data, event.start_pts).frames == event.frames
            assert 4 << 20 < event.size_bytes == len(data) < 6 << 20
        path = sink.joined(run, tmp_path)
        numbers = await asyncio.to_thread(lambda path=path: list(islice(numbers_in(path), 2 * GOP)))
        assert numbers == [*range(GOP)] * 2
