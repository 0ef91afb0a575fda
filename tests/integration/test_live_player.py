"""The dashboard's player in Chromium on a live picture: at its edge, cut off, refused, changed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from domain.live_stream import LiveKind, LiveMessage
from local import dashboard
from local.folder import project_root
from tests.chromium import CHROMIUM, running_chromium
from tests.live_source import FPS, LiveSource, running_source
from tests.waiting import wait_for

CAMERA = "acme/live/gate"
HLS = "web/dashboard/node_modules/hls.js/dist/hls.min.js"
PAGE = """<!doctype html><video id=video muted></video><canvas id=poster hidden></canvas>
<script src=/hls.js></script><script src=/player.js></script>
<script>
const shown = [], boxes = [];
const player = new vigil.Player(Hls, video, poster, "acme/live/gate");
const canvas = Object.assign(document.createElement("canvas"), {width: 192, height: 128});
const context = canvas.getContext("2d", {willReadFrequently: true});
player.onFrame = (wallMs) => {
  context.drawImage(video, 0, 0, 192, 128);
  let value = 0;
  for (let cell = 0; cell < 24; cell++) {
    const x = (cell % 6) * 32 + 16, y = Math.floor(cell / 6) * 32 + 16;
    value = value * 2 + (context.getImageData(x, y, 1, 1).data[0] > 125);
  }
  const number = Math.floor(value / 256), check = ~(number ^ (number >> 8)) & 255;
  const nowMs = performance.timeOrigin + performance.now();
  if (check === value % 256) shown.push([number, wallMs, nowMs]);
};
player.onDetections = (found) => boxes.push(...found.frames);
player.goLive();
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@dataclass
class Watching:
    """A page that plays a live picture."""

    source: LiveSource
    page: Page

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = await self.page.evaluate("player.state.get()")
        return state

    async def shown(self, pictures: int = FPS) -> list[tuple[int, float, float]]:
        """Return the next pictures on the screen: number, UTC, when it was shown."""
        await self.page.evaluate("shown.length = 0")

        async def enough() -> bool:
            return bool(await self.page.evaluate("shown.length") >= pictures)

        await wait_for(enough, within_s=20, what=lambda: f"{pictures} pictures on the screen")
        return [(number, utc, at) for number, utc, at in await self.page.evaluate("shown")]

    async def comes_from(self, way: str, reason: str = "") -> None:
        async def is_way() -> bool:
            state = await self.state()
            return bool(state["way"] == way and reason in state["wayReason"])

        await wait_for(is_way, within_s=20, what=f"the picture of the {way}")


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    await asyncio.to_thread(dashboard.build, print, tmp_path / "build.log")
    script = await asyncio.to_thread(bundle, tmp_path)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/live/socket"):
            return await source.serve(request)
        match request.path:
            case "/":
                return web.Response(text=PAGE, content_type="text/html")
            case "/player.js":
                return web.Response(body=script, content_type="text/javascript")
            case "/hls.js":
                body = (project_root() / HLS).read_bytes()
                return web.Response(body=body, content_type="text/javascript")
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{any:.*}", handle)
    async with (
        running_source() as source,
        TestServer(app) as server,
        running_chromium() as browser,
    ):
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(str(server.make_url("/")))
        yield Watching(source, page)
        await page.close()
    assert errors == []


def bundle(path: Path) -> bytes:
    """Return the dashboard's player as a script."""
    source = project_root() / "web" / "dashboard"
    entry = path / "entry.js"
    entry.write_text(f'export {{ Player }} from "{source}/src/player/player.ts";')
    node = Path(sys.executable).parent / "node"
    rolldown = source / "node_modules/rolldown/bin/cli.mjs"
    options = ("--format", "iife", "--name", "vigil", "--file", str(path / "player.js"))
    subprocess.run([node, rolldown, entry, *options], cwd=source, check=True, capture_output=True)
    return (path / "player.js").read_bytes()


async def test_the_picture_of_the_device(watching: Watching) -> None:
    source, page = watching.source, watching.page
    await watching.comes_from("device")
    shown = await watching.shown(3 * FPS)
    for number, utc, _ in shown:
        assert abs(utc - source.taken_ms[number]) <= 1_000 / FPS, "the clock is that of the picture"
    numbers = [number for number, *_ in shown]
    assert numbers == sorted(numbers)
    delays = sorted(at - source.taken_ms[number] for number, _, at in shown)
    print(f"behind: p50 {delays[len(delays) // 2]:.0f} ms, p95 {delays[-len(delays) // 20]:.0f} ms")
    assert delays[len(delays) // 2] < 3_000

    fields = {"frames": [{"at_ms": int(shown[-1][1]), "objects": []}]}
    source.channel.push(LiveMessage.text(LiveKind.DETECTIONS, fields))

    async def has_boxes() -> bool:
        return bool(await page.evaluate("boxes.length > 0"))

    await wait_for(has_boxes, within_s=10, what="the boxes")

    # the worker that relays it is replaced
    opened = source.opened
    await source.cut()
    await wait_for(lambda: source.opened > opened, within_s=10, what="another socket")
    assert (await watching.shown())[-1][0] > numbers[-1]
    assert (await watching.state())["way"] == "device"

    # the camera's pictures become larger
    source.size = (384, 256)

    async def is_larger() -> bool:
        return bool(await page.evaluate("video.videoWidth === 384"))

    await wait_for(is_larger, within_s=20, what="the larger pictures")
    await watching.shown()

    # stopped, it stays where it is; live again, it shows what is new
    await page.evaluate("player.pause()")
    stopped_ms = await page.evaluate("player.playhead.get()")
    number = source.number
    await wait_for(lambda: source.number > number + FPS + 10, within_s=20, what="1.4 s")
    await page.evaluate("player.play()")
    resumed = await watching.shown(5)
    assert resumed[0][1] - stopped_ms < 1_000
    await page.evaluate("player.goLive()")

    async def is_new() -> bool:
        newest, *_ = (await watching.shown(1))[-1]
        return newest >= source.number - FPS

    await wait_for(is_new, within_s=20, what="the newest picture")


async def test_without_a_picture_of_the_device_the_list_plays(watching: Watching) -> None:
    source, page = watching.source, watching.page
    source.refusal = "The device has no link."
    await page.reload()
    await watching.comes_from("list", "The device has no link.")
    assert (await watching.state())["status"] in ("empty", "loading", "error")
    source.refusal = None
    await watching.comes_from("device")
    await watching.shown()

    # a codec that this browser does not play is named, and not asked for again
    source.codecs = "hvc9.1"
    source.size = (384, 256)
    await watching.comes_from("list", "This browser does not play hvc9.1.")
    opened = source.opened
    await page.evaluate("player.goLive()")
    await watching.comes_from("list")
    assert source.opened == opened
