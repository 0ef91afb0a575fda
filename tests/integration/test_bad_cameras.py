"""Cameras that flap, hang, send garbage and worse, beside good ones: nobody else loses a frame."""

import asyncio
import contextlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml

from domain.events import FragmentArrived, RunStarted
from edge_bridge.cameras import Cameras as Recorded
from edge_bridge.capture import rtsp
from edge_bridge.clock import EdgeClock
from edge_bridge.config import load
from local.cameras import Cameras
from media import keyframes
from tests.footage import numbers_in, write_clip
from tests.hostile_rtsp import BEHAVIOURS, Hostile
from tests.waiting import wait_for

FPS = 25
MOST_GROWTH = 200 << 20
"""Of the process's memory, with eleven hostile cameras at once; they offer it gigabytes."""

SAYS: Mapping[str, tuple[str, ...]] = {
    "garbage": ("does not speak RTSP", "cannot be read"),
    "hang": ("does not answer", "no answer within 4 s"),
    "headers": ("no answer within 4 s", "cannot be read"),
    "line": ("no answer within 4 s", "cannot be read"),
    "length": ("cannot be read",),
    "sdp": ("cannot be read", "no pictures"),
    "blind": ("no parameter sets", "no keyframe", "cannot be read"),
    "packets": ("no parameter sets", "cannot be read", "no answer"),
    "still": ("time stamps stand still",),
    "jumps": ("time stamps jumped back", "parted by more than 5 s"),
    "zero": ("no parameter sets", "cannot be read", "no answer", "no data"),
}


class Keeps:
    """What became of runs."""

    def __init__(self) -> None:
        self.fragments: dict[str, list[tuple[FragmentArrived, bytes]]] = {}
        self.ends: dict[str, str] = {}

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        del started
        self.fragments.setdefault(event.run, []).append((event, data))

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        del ended_ms
        self.ends[run] = reason

    def runs(self, name: str) -> list[str]:
        """The runs of a camera, oldest first."""
        of = f"acme/berlin/{name}"
        return sorted(run for run, kept in self.fragments.items() if kept[0][0].camera == of)

    def numbers(self, run: str, folder: Path) -> list[int | None]:
        """The numbers of a run's pictures; its fragments adjoin and are all there."""
        kept = self.fragments[run]
        assert [event.seq for event, _ in kept] == list(range(len(kept)))
        for (one, _), (following, _) in pairwise(kept):
            assert one.end_ms == following.start_ms
        path = folder / f"{run}.ts"
        path.write_bytes(b"".join(data for _, data in kept))
        numbers = list(numbers_in(path))
        assert len(numbers) == sum(event.frames for event, _ in kept)
        return numbers


def follow(numbers: list[int | None]) -> bool:
    first = numbers[0]
    return first is not None and numbers == list(range(first, first + len(numbers)))


@pytest.mark.slow
async def test_bad_cameras_cost_the_good_ones_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtsp, "_OPEN_S", 4)
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 120 * FPS)
    steady = await asyncio.to_thread(
        Cameras.start,
        tmp_path / "a",
        [{"name": "good", "file": str(clip)}, {"name": "better", "file": str(clip)}],
    )
    flapping = await asyncio.to_thread(
        Cameras.start, tmp_path / "b", [{"name": "flaps", "file": str(clip)}]
    )
    keeps = Keeps()
    recorded = Recorded(keeps, EdgeClock())
    hostile = {name: Hostile(name, clip) for name in BEHAVIOURS}
    urls = {
        "good": steady.urls["good"], "flaps": flapping.urls["flaps"],
        **{name: one.url for name, one in hostile.items()},
    }  # fmt: skip
    cameras = [{"id": name, "url": url, "audio": False} for name, url in urls.items()]
    cameras.append({"id": "better", "url": steady.urls["better"], "transport": "udp"})
    path = tmp_path / "edge.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "site": "acme/berlin",
                "edge": "e1",
                "cloud": {"bucket": "none", "queue_url": "http://127.0.0.1:9/q"},
                "spool": {"dir": "spool"},
                "fragment_s": 2,
                "no_data_s": 3,
                "cameras": cameras,
            }
        )
    )
    process = psutil.Process()
    udp_before = len(process.net_connections("udp"))
    before = most = process.memory_info().rss
    said: dict[str, set[str]] = {name: set() for name in urls}

    def look() -> None:
        nonlocal most
        most = max(most, process.memory_info().rss)
        for status in recorded.statuses:
            said.setdefault(status.camera.split("/")[-1], set()).add(status.detail)

    def told(name: str) -> bool:
        look()
        return any(any(words in one for words in SAYS[name]) for one in said[name])

    with contextlib.ExitStack() as stack:
        for one in hostile.values():
            stack.enter_context(one)
        try:
            await recorded.apply(load(path), None)
            for flap in range(3):
                await wait_for(
                    lambda flap=flap: look() or len(keeps.runs("flaps")) > flap,
                    within_s=60,
                    what=f"run {flap} of the camera that flaps",
                )
                await asyncio.to_thread(flapping.kill)
                await wait_for(
                    lambda flap=flap: look() or keeps.runs("flaps")[flap] in keeps.ends,
                    within_s=30,
                    what="its run ends",
                )
                if flap < 2:
                    await asyncio.to_thread(flapping.restart)
            assert len(process.net_connections("udp")) > udp_before, "the better one sends by UDP"
            for name in SAYS:
                await wait_for(
                    lambda name=name: told(name), within_s=30, what=lambda: f"what is wrong: {said}"
                )
        finally:
            await recorded.stop()
            await asyncio.to_thread(steady.stop)
            await asyncio.to_thread(flapping.stop)
    print({name: sorted(texts) for name, texts in said.items()})
    print(f"{(most - before) >> 20} MiB more at most")
    assert most - before < MOST_GROWTH
    for name in ("good", "better"):
        (run,) = keeps.runs(name)
        numbers = await asyncio.to_thread(keeps.numbers, run, tmp_path)
        assert follow(numbers) and len(numbers) > 5 * FPS, name
    assert len(keeps.runs("flaps")) == 3
    for run in keeps.runs("flaps"):
        assert follow(await asyncio.to_thread(keeps.numbers, run, tmp_path))
    for name in BEHAVIOURS:
        assert not any("unforeseen" in text for text in said[name]), said[name]
        for run in keeps.runs(name):
            assert name in ("still", "jumps"), "nothing else of it can be recorded"
            for event, data in keeps.fragments[run]:
                assert keyframes.index(data, event.start_pts).frames == event.frames > 0
