"""Which cameras restart when the configuration changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from domain.events import FragmentArrived, RunStarted
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig, load
from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.recorders import CHANGED, RecorderManager
from tests.footage import write_clip
from tests.recording_sink import PieceCollector
from tests.unit.edge_bridge.test_config import MINIMAL
from tests.waiting import wait_for


class RecordingCollector(PieceCollector):
    """What became of runs."""

    def __init__(self) -> None:
        super().__init__()
        self.fragments: dict[str, list[FragmentArrived]] = {}
        self.ends: dict[str, str] = {}

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        del started
        self.whole(event, data)
        self.fragments.setdefault(event.run, []).append(event)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        del ended_ms
        self.ends[run] = reason

    def run_of(self, camera: str) -> str | None:
        """Return the run of a camera that goes on and has a fragment."""
        going = [run for run, events in self.fragments.items()
                 if events[0].camera == camera and run not in self.ends]  # fmt: skip
        return going[0] if going else None


class FrameCollector:
    """Counts what is offered."""

    def __init__(self) -> None:
        self.offered: dict[str, int] = {}

    def offer(self, picture: EncodedFrame) -> bool:
        self.offered[picture.camera] = self.offered.get(picture.camera, 0) + 1
        return True


Made = Callable[..., EdgeConfig]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    clip = write_clip(tmp_path / "clip.mp4", 100).as_uri()

    def make(cameras: dict[str, dict[str, Any]], **more: Any) -> EdgeConfig:
        given = []
        for number, (name, changes) in enumerate(cameras.items()):
            url = f"{clip}?loop=1&offset_ms={number}"
            given.append({"id": name, "url": url, "audio": False} | changes)
        path = tmp_path / "edge.yaml"
        path.write_text(yaml.safe_dump({**MINIMAL, "fragment_s": 2, "cameras": given, **more}))
        return load(path)

    return make


def analysed(camera: str) -> dict[str, float | None]:
    """Return the metrics of a camera's streams."""
    labels = ({"camera": camera, "stream": stream} for stream in ("main", "sub"))
    return {one["stream"]: REGISTRY.get_sample_value("vigil_edge_looked_at", one) for one in labels}


def named(name: str) -> str:
    return f"acme/berlin/{name}"


@pytest.mark.slow
async def test_cameras_that_do_not_change_continue(made: Made) -> None:
    recorded, frames = RecordingCollector(), FrameCollector()
    cameras = RecorderManager(recorded, EdgeClock())

    async def recording(*names: str) -> dict[str, str]:
        def so() -> dict[str, str]:
            runs = {name: run for name in names if (run := recorded.run_of(named(name)))}
            return runs if len(runs) == len(names) else {}

        return await wait_for(so, within_s=60, what=f"{names} record")

    mask = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
    try:
        await cameras.apply(made({"a": {}, "b": {}, "c": {}}), None)
        first = await recording("a", "b", "c")
        assert not frames.offered

        # a: nothing that its recorder uses; b: another stream; c removed, d added; inference starts
        other = {"priority": 9, "privacy_masks": [mask], "sub_url": "file:///none.mp4"}
        changed = made({"a": other, "b": {"stream": "sub"}, "d": {}})
        await cameras.apply(changed, frames)
        assert sorted(cameras.ids) == [named("a"), named("b"), named("d")]
        second = await recording("a", "b", "d")
        assert second["a"] == first["a"]
        assert recorded.ends == {first["b"]: CHANGED, first["c"]: CHANGED}
        await wait_for(lambda: frames.offered.get(named("a")), within_s=60, what="a is analysed")

        def explained() -> bool:
            (detail,) = [one.detail for one in cameras.statuses if one.camera == named("a")]
            return detail.startswith("the main stream is analysed; the sub stream: the clip")

        await wait_for(explained, within_s=60, what="why it is not the sub stream")

        # fragment_s concerns all cameras
        await cameras.apply(
            made({"a": {"priority": 9}, "b": {"stream": "sub"}, "d": {}}, fragment_s=3), frames
        )
        third = await recording("a", "b", "d")
        assert set(third.values()).isdisjoint(second.values())
    finally:
        await cameras.stop()
    assert {recorded.ends[run] for run in third.values()} == {"edge stopped"}
    for events in recorded.fragments.values():
        assert [each.seq for each in events] == list(range(len(events)))


async def test_the_same_configuration_again_restarts_nothing(made: Made) -> None:
    recorded = RecordingCollector()
    cameras = RecorderManager(recorded, EdgeClock())
    try:
        await cameras.apply(made({"a": {}}), None)
        run = await wait_for(lambda: recorded.run_of(named("a")), within_s=60, what="a records")
        for _ in range(3):
            await cameras.apply(made({"a": {}}), None)
        assert recorded.ends == {}
    finally:
        await cameras.stop()
    assert recorded.ends == {run: "edge stopped"}


async def test_the_analysed_stream_is_a_metric_while_there_is_one(made: Made) -> None:
    frames, cameras = FrameCollector(), RecorderManager(RecordingCollector(), EdgeClock())
    by_main, by_none = {"main": 1, "sub": 0}, {"main": None, "sub": None}
    try:
        await cameras.apply(made({"e": {}, "f": {}}), frames)
        assert [analysed(named(name)) for name in "ef"] == [by_main, by_main]
        await cameras.apply(made({"e": {}}), frames)
        assert [analysed(named(name)) for name in "ef"] == [by_main, by_none]
        await cameras.apply(made({"e": {}}), None)
        assert analysed(named("e")) == by_none
    finally:
        await cameras.stop()
