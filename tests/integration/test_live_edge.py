"""Live pictures of the edge: a real camera, its recorder, and the socket to the cloud."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from domain.errors import ConfigError
from domain.events import Detection, DetectionFrame, FoundObject
from domain.identity import new_run_id
from domain.link_messages import CommandMessage
from domain.live_stream import NOT_WATCHED, Feed, LiveKind
from domain.times import utc_ms
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig, load
from edge_bridge.link.snapshot import take_snapshot
from edge_bridge.live import manager as live_manager
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.upload.bandwidth import BandwidthLimiter
from local.cameras import CameraServer
from tests.footage import write_clip
from tests.live_pictures import LivePictures, decoded_numbers
from tests.unit.edge_bridge.test_config import MINIMAL
from tests.unit.edge_bridge.test_recorders import RecordingCollector
from tests.waiting import wait_for

FPS, GOP = 10, 10
GATE = "acme/berlin/gate"


@dataclass
class FakeCloud:
    """Receives live sockets. `stall` makes it read nothing, as a thin line does."""

    got: list[LivePictures] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    url: str = ""
    stall: asyncio.Event | None = None

    async def receive(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        pictures = LivePictures()
        self.queries.append(dict(request.query))
        self.got.append(pictures)
        self.sockets.append(ws)
        if self.stall is not None:
            await self.stall.wait()
        async for message in ws:
            pictures.add(message.data)
        return ws


@dataclass
class LiveEdge:
    """The parts of an edge that live pictures need."""

    cloud: FakeCloud
    recorders: RecorderManager
    live: LiveManager
    recorded: RecordingCollector
    bandwidth: BandwidthLimiter


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cameras")
    main = write_clip(folder / "main.mp4", 200, fps=FPS, gop=GOP, audio="aac")
    sub = write_clip(folder / "sub.mp4", 200, fps=FPS, gop=GOP, width=96, height=64)
    served = [{"name": "gate", "file": str(main)}, {"name": "sub", "file": str(sub)}]
    with CameraServer.start(folder, served) as server:
        yield server


@asynccontextmanager
async def live_edge(tmp_path: Path, camera: dict[str, Any], **more: Any) -> AsyncIterator[LiveEdge]:
    path = tmp_path / "edge.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, "cameras": [camera], "fragment_s": 2, **more}))
    config: EdgeConfig = load(path)
    async with AsyncExitStack() as stack:
        cloud = FakeCloud()
        app = web.Application()
        app.router.add_get("/device/v1/live", cloud.receive)
        server = await stack.enter_async_context(TestServer(app))
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def open_socket(
            camera: str, feed: Feed, relay: str
        ) -> aiohttp.ClientWebSocketResponse:
            query = {"camera": camera, "feed": feed, "relay": relay}
            url = server.make_url("/device/v1/live").with_query(query)
            return await session.ws_connect(url, autoping=False)

        recorded = RecordingCollector()
        recorders = RecorderManager(recorded, EdgeClock())
        bandwidth = BandwidthLimiter.from_config(config.upload)
        live = LiveManager(recorders, bandwidth, open_socket)
        await recorders.apply(config, None)
        stack.push_async_callback(recorders.stop)
        stack.push_async_callback(live.stop)
        yield LiveEdge(cloud, recorders, live, recorded, bandwidth)


def newest(edge: LiveEdge) -> Callable[[int], Callable[[], bool]]:
    return lambda count: lambda: bool(edge.cloud.got) and edge.cloud.got[-1].pictures >= count


def is_gapless(numbers: list[int | None], loop: int = 200) -> bool:
    return None not in numbers and all(
        (after - before) % loop == 1
        for before, after in pairwise(numbers)  # type: ignore[operator]
    )


async def test_the_cloud_gets_each_picture_with_its_time(
    cameras: CameraServer, tmp_path: Path
) -> None:
    camera = {"id": "gate", "url": cameras.urls["gate"], "sub_url": cameras.urls["sub"]}
    async with live_edge(tmp_path, camera) as edge:
        await wait_for(lambda: edge.recorded.run_of(GATE), within_s=30, what="a recording")
        assert not edge.cloud.got
        assert edge.live.show(GATE, "main", "r1") == ""
        await wait_for(newest(edge)(2 * GOP), within_s=20, what="two GOPs of pictures")
        main = edge.cloud.got[0]
        assert edge.cloud.queries[0] == {"camera": GATE, "feed": "main", "relay": "r1"}
        assert [each.kind for each in main.messages[:3]] == [
            LiveKind.FORMAT, LiveKind.INIT, LiveKind.KEYFRAME
        ]  # fmt: skip
        shown = main.texts(LiveKind.FORMAT)[0]
        assert (shown["width"], shown["height"]) == (192, 128)
        assert shown["codecs"].startswith("avc1.")
        assert shown["codecs"].endswith("mp4a.40.2")
        assert is_gapless(main.numbers())
        times = [each.utc_ms for each in main.messages if each.kind.is_media]
        assert all(80 <= after - before <= 120 for before, after in pairwise(times))
        assert abs(utc_ms() - times[-1]) < 5_000

        # the sub stream, while the main feed goes on; the recording has no gap
        edge.live.show(GATE, "sub", "r1")
        await wait_for(
            lambda: len(edge.cloud.got) == 2 and edge.cloud.got[1].pictures >= GOP,
            within_s=20,
            what="pictures of the sub stream",
        )
        sub = edge.cloud.got[1].texts(LiveKind.FORMAT)[0]
        assert (sub["width"], sub["height"]) == (96, 64)
        assert is_gapless(edge.cloud.got[1].numbers())
        edge.live.hide(GATE, "main", "r1")
        edge.live.hide(GATE, "sub", "r1")
        await wait_for(
            lambda: all(each.closed for each in edge.cloud.sockets),
            within_s=10,
            what="closed sockets",
        )
        assert not edge.recorded.ends


async def test_the_first_viewer_sees_the_pictures_since_the_keyframe(tmp_path: Path) -> None:
    """The camera's next keyframe is 20 s away: he does not wait for it."""
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 200, fps=FPS, gop=200)
    camera = {"id": "gate", "url": f"{clip.as_uri()}?loop=1"}
    async with live_edge(tmp_path, camera) as edge:
        gop = edge.recorders._recorders[GATE]._recording.gop
        await wait_for(lambda: len(gop._kept) >= 15, within_s=20, what="pictures that are kept")
        shown = LivePictures()
        for _ in range(2):  # also the next one, after no one watched
            shown = LivePictures()
            async with edge.live.watch(GATE, "main") as viewer:
                kept = len(gop._kept)
                while shown.pictures < kept + 5:
                    shown.add((await viewer.next()).data)
            assert shown.messages[2].kind is LiveKind.KEYFRAME
            assert shown.numbers() == list(range(kept + 5))
        assert shown.count(LiveKind.KEYFRAME) == 1


async def test_a_sub_stream_that_fails_gives_way_to_the_main_stream_and_returns(
    cameras: CameraServer, tmp_path: Path
) -> None:
    clip = await asyncio.to_thread(
        write_clip, tmp_path / "sub.mp4", 200, fps=FPS, gop=GOP, width=96, height=64
    )
    sub = CameraServer(tmp_path / "sub", [{"name": "sub", "file": str(clip)}], name="sub")
    await asyncio.to_thread(sub.launch)
    await asyncio.to_thread(sub.wait)
    try:
        camera = {"id": "gate", "url": cameras.urls["gate"], "sub_url": sub.urls["sub"]}
        async with live_edge(tmp_path, camera) as edge:
            edge.live.show(GATE, "sub")

            def formats() -> list[tuple[int, bool]]:
                """Width of each format so far, and whether it has a note."""
                found = edge.cloud.got[0].texts(LiveKind.FORMAT) if edge.cloud.got else []
                return [(each["width"], bool(each["note"])) for each in found]

            def shows(*expected: tuple[int, bool]) -> Callable[[], bool]:
                return lambda: formats() == list(expected) and bool(edge.cloud.got[0].formats()[-1])

            await wait_for(shows((96, False)), within_s=30, what="the sub stream")
            await asyncio.to_thread(sub.kill)
            failed = [(96, False), (192, True)]
            await wait_for(shows(*failed), within_s=20, what="the main stream")
            note = edge.cloud.got[0].texts(LiveKind.FORMAT)[1]["note"]
            assert note.startswith("The main stream is shown. The sub stream fails: ")
            await asyncio.to_thread(sub.restart)
            await wait_for(shows(*failed, (96, False)), within_s=60, what="the sub stream again")
            last = edge.cloud.got[0].formats()
            await wait_for(
                lambda: len(edge.cloud.got[0].formats()[-1]) > GOP, within_s=20, what="a GOP of it"
            )
            assert all(None not in decoded_numbers(each) for each in last)
            times = [each.utc_ms for each in edge.cloud.got[0].messages if each.kind.is_media]
            assert all(after - before > -2_000 for before, after in pairwise(times))
    finally:
        await asyncio.to_thread(sub.stop)


async def test_a_snapshot_is_of_now(cameras: CameraServer, tmp_path: Path) -> None:
    async with live_edge(tmp_path, {"id": "gate", "url": cameras.urls["gate"]}) as edge:
        await wait_for(lambda: edge.recorded.run_of(GATE), within_s=30, what="a recording")
        command = CommandMessage(id="1" * 32, kind="snapshot", camera=GATE, within_ms=10_000)
        taken = await take_snapshot(command, edge.live, edge.recorders)
        assert (taken.body or b"").startswith(b"\xff\xd8")
        at_ms = (taken.result or {})["at_ms"]
        # what is kept is older than it may be: the next keyframe is taken
        later = await take_snapshot(command, edge.live, edge.recorders, lambda: at_ms + 60_000)
        assert (later.result or {})["at_ms"] > at_ms
        assert not edge.live._active


async def test_a_broken_socket_comes_back_from_the_last_keyframe_on(
    cameras: CameraServer, tmp_path: Path
) -> None:
    async with live_edge(tmp_path, {"id": "gate", "url": cameras.urls["gate"]}) as edge:
        edge.live.show(GATE, "main")
        await wait_for(newest(edge)(GOP + 5), within_s=30, what="pictures")
        before = edge.cloud.got[0]
        await edge.cloud.sockets[0].close(code=1012)
        await wait_for(
            lambda: len(edge.cloud.got) == 2 and edge.cloud.got[1].pictures > 1,
            within_s=10,
            what="the socket again",
        )
        first = edge.cloud.got[1]
        assert [each.kind for each in first.messages[:3]] == [
            LiveKind.FORMAT, LiveKind.INIT, LiveKind.KEYFRAME
        ]  # fmt: skip
        last_ms = max(each.utc_ms for each in before.messages)
        assert first.messages[2].utc_ms <= last_ms + 2_000, "it waited for another keyframe"
        await edge.cloud.sockets[1].close(code=NOT_WATCHED)
        await wait_for(lambda: not edge.live._active, within_s=10, what="the feed to stop")
        assert len(edge.cloud.got) == 2


async def test_what_is_not_asked_for_again_stops(
    cameras: CameraServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_manager, "WANTED_S", 0.5)
    async with live_edge(tmp_path, {"id": "gate", "url": cameras.urls["gate"]}) as edge:
        edge.live.show(GATE, "main", "r1")
        edge.live.show(GATE, "main", "r2")
        await wait_for(lambda: len(edge.cloud.sockets) == 2, within_s=20, what="two relays")
        await wait_for(
            lambda: all(each.closed for each in edge.cloud.sockets),
            within_s=10,
            what="closed sockets",
        )
        assert not edge.live._active
        assert not edge.recorders._live_sinks


async def test_boxes_come_with_the_pictures_and_late_ones_do_not(
    cameras: CameraServer, tmp_path: Path
) -> None:
    async with live_edge(tmp_path, {"id": "gate", "url": cameras.urls["gate"]}) as edge:
        async with edge.live.watch(GATE, "main") as viewer:
            while not (picture := await viewer.next()).kind.is_media:
                pass

            def boxes(age_ms: int) -> DetectionFrame:
                found = FoundObject(label="person", score=0.5, box=(0, 0, 1, 1), track=None)
                return DetectionFrame(pts=1, at_ms=picture.utc_ms - age_ms, objects=[found])

            frames = [boxes(10_000), boxes(0)]
            run = new_run_id(utc_ms(), bytes(10))
            edge.live.detections(
                Detection(camera=GATE, run=run, model="m", model_version="1", frames=frames)
            )
            while (message := await viewer.next()).kind is not LiveKind.DETECTIONS:
                pass
            shown = LivePictures()
            shown.add(message.data)
            (sent,) = shown.texts(LiveKind.DETECTIONS)
            assert [each["at_ms"] for each in sent["frames"]] == [picture.utc_ms]
            assert sent["frames"][0]["objects"][0]["label"] == "person"
        assert not edge.live._active


async def test_a_thin_line_loses_live_pictures_and_no_recording(tmp_path: Path) -> None:
    """192x128 noise needs more than the limit: pictures are dropped, each kept one decodes."""
    clip = await asyncio.to_thread(
        write_clip, tmp_path / "clip.mp4", 200, fps=FPS, gop=5, width=640, height=480
    )
    camera = {"id": "gate", "url": f"{clip.as_uri()}?loop=1"}
    async with live_edge(tmp_path, camera, upload={"limit_kbit": 30}) as edge:
        edge.live.show(GATE, "main")
        await wait_for(newest(edge)(3), within_s=30, what="pictures")
        got = edge.cloud.got[0]

        def has_gap() -> bool:
            times = [each.utc_ms for each in got.messages if each.kind.is_media]
            return any(after - before > 150 for before, after in pairwise(times))

        await wait_for(has_gap, within_s=30, what="dropped pictures")
        assert None not in got.numbers()
        await edge.bandwidth.ready()
        assert edge.bandwidth._wait_s(edge.bandwidth._steady_s()) > 0, "uploads go on at once"
        assert not edge.recorded.ends


async def test_what_cannot_be_shown_says_why(cameras: CameraServer, tmp_path: Path) -> None:
    camera = {"id": "gate", "url": cameras.urls["gate"]}
    slots = [{"from": "00:00", "to": "24:00", "kbit": 0}]
    async with live_edge(tmp_path, camera, upload={"schedule": slots}) as edge:
        with pytest.raises(ConfigError, match="bandwidth limit"):
            edge.live.show(GATE, "main")
        with pytest.raises(ConfigError, match="does not record"):
            async with edge.live.watch("acme/berlin/other", "main"):
                pass
        edge.live.open_socket = None
        with pytest.raises(ConfigError, match="no link"):
            edge.live.show(GATE, "main")
