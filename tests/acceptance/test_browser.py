"""A person at the page: signs in, sees the cameras, clicks on the timeline, sees boxes move."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright, expect

from edge_bridge.clock_sync import clock_sync
from local.folder import project_root
from tests.waiting import wait_for

CHROMIUM = shutil.which("chromium")
CAMERAS = 2
READY_WITHIN_S = 420
"""With an empty package cache the first start fetches and builds the dashboard."""
FOOTAGE_WITHIN_S = 180
expect.set_options(timeout=60_000)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

Json = dict[str, Any]


@dataclass
class Demo:
    """A running demo, as a person and the API see it."""

    url: str
    key: str
    cameras: list[str]

    async def ask(self, path: str, **query: int) -> Json:
        """Return what the API answers."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"}) as session,
            session.get(f"{self.url}/api/v1/{path}", params=query) as response,
        ):
            assert response.status == 200, await response.text()
            answer: Json = await response.json()
            return answer

    async def moment_with_people(self, camera: str) -> int:
        """Return a time (UTC ms) at least 20 s ago at which several frames had detections."""

        async def found() -> int | None:
            now_ms = (await self.ask("cameras"))["now_ms"]
            answer = await self.ask(
                f"cameras/{camera}/detections", **{"from": now_ms - 300_000, "to": now_ms - 20_000}
            )
            times = sorted({each["at_ms"] for each in answer["detections"]})
            return times[-4] if len(times) >= 8 else None

        moment = await wait_for(
            found, within_s=FOOTAGE_WITHIN_S, every_s=1, what=f"detections of {camera}"
        )
        assert moment is not None
        return moment


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    """Run `vigil demo` as a person would, in a folder of its own."""
    ready = tmp_path / "ready.json"
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "demo", "--cameras", str(CAMERAS)),
            *("--ready-file", str(ready)),
            cwd=project_root(),
            env={**os.environ, "VIGIL_DATA_DIR": str(tmp_path / "data")},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:

        def is_ready() -> bool:
            assert process.returncode is None, log.read_text()
            return ready.exists()

        await wait_for(is_ready, within_s=READY_WITHIN_S, every_s=0.5, what="the demo's page")
        about = json.loads(ready.read_text())
        yield Demo(about["url"].rstrip("/"), about["api_key"], about["cameras"])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 90)
        except TimeoutError:
            process.kill()
            raise
        print(log.read_text())


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """Open a page in Chromium; what it complains about fails the test."""
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        context = await browser.new_context(
            viewport={"width": 1280, "height": 800}, timezone_id="Europe/Berlin"
        )
        opened = await context.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        await browser.close()
    assert not complaints


async def sign_in(page: Page, demo: Demo) -> None:
    await page.goto(demo.url)
    await page.get_by_role("button", name="Use an API key").click()
    await page.get_by_label("API key").fill("not-the-key")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("not accepted")
    await page.get_by_label("API key").fill(demo.key)
    await page.get_by_role("button", name="Sign in").click()


async def overlay(page: Page) -> Json:
    """Return what the player shows: media seconds, reported boxes and painted pixels."""
    state: Json = await page.evaluate(
        """() => {
            const video = document.querySelector("video");
            const canvas = document.querySelector("[data-testid=overlay]");
            const context = canvas.getContext("2d");
            let painted = 0;
            if (canvas.width && canvas.height) {
                const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
                for (let i = 3; i < data.length; i += 4) if (data[i] > 0) painted++;
            }
            return {
                seconds: video.currentTime,
                width: video.videoWidth,
                paused: video.paused,
                boxes: Number(canvas.dataset.boxes),
                at_ms: Number(canvas.dataset.at || 0),
                painted,
            };
        }"""
    )
    return state


async def click_on_timeline(page: Page, at_ms: int) -> None:
    """Click where the timeline shows a moment."""
    canvas = page.get_by_test_id("timeline")
    box = await canvas.bounding_box()
    assert box is not None
    from_ms = int(await canvas.get_attribute("data-from") or 0)
    to_ms = int(await canvas.get_attribute("data-to") or 0)
    assert from_ms < at_ms < to_ms, "the timeline opens on the newest footage"
    share = (at_ms - from_ms) / (to_ms - from_ms)
    await canvas.click(position={"x": share * box["width"], "y": box["height"] * 0.8})


async def test_find_a_moment_and_see_boxes_in_step(demo: Demo, page: Page) -> None:
    await sign_in(page, demo)

    # The wall: every camera with its newest picture and its state in words.
    for camera in demo.cameras:
        tile = page.locator(f'[data-camera="{camera}"]')
        await expect(tile).to_contain_text("Recording", timeout=FOOTAGE_WITHIN_S * 1000)
        picture = tile.locator("img")
        await expect(picture).to_be_visible()
        await expect(picture).not_to_have_js_property("naturalWidth", 0)

    # The sites: the device has no problems, except perhaps this machine's clock.
    await page.get_by_role("link", name="Sites").click()
    device = page.locator("[data-edge='demo/campus/demo-edge']")
    kept = clock_sync().state != "unsynchronised"
    await expect(device).to_contain_text("OK" if kept else "Clock not synchronised")
    await expect(device).to_contain_text(f"{CAMERAS} of {CAMERAS}")
    await page.get_by_role("link", name="Cameras", exact=True).click()

    camera = demo.cameras[0]
    moment = await demo.moment_with_people(camera)

    # The camera page opens on the live picture.
    await page.locator(f'[data-camera="{camera}"]').click()
    await expect(page.get_by_test_id("live-pill")).to_contain_text("Live")
    await wait_for(lambda: _advances(page), within_s=60, every_s=0.2, what="the live picture moves")

    # A click on the timeline plays from there: the picture is of that moment, and moves on.
    await click_on_timeline(page, moment)

    async def is_there() -> Json | None:
        state = await overlay(page)
        return state if abs(state["at_ms"] - moment) < 8_000 else None

    await wait_for(is_there, within_s=60, what=f"the picture of {moment}")
    await wait_for(lambda: _advances(page), within_s=60, every_s=0.2, what="playing goes on")
    await expect(page.get_by_test_id("readout")).to_contain_text("CE")

    # Boxes are drawn, and no more of them than were found round that frame.
    async def boxed() -> Json | None:
        state = await overlay(page)
        return state if state["boxes"] > 0 else None

    drawn = await wait_for(boxed, within_s=60, what="boxes on the picture")
    assert drawn is not None
    assert drawn["painted"] > 200
    near = await demo.ask(
        f"cameras/{camera}/detections",
        **{"from": drawn["at_ms"] - 2_500, "to": drawn["at_ms"] + 2_500},
    )
    assert drawn["boxes"] <= len(near["detections"])

    # They can be switched off, and then nothing is painted.
    await page.keyboard.press("b")
    await wait_for(
        lambda: _painted_nothing(page), within_s=10, what="the boxes to be gone", every_s=0.1
    )

    # No time is missing without a reason.
    known = await demo.ask(f"cameras/{camera}")
    span = {"from": known["first_ms"], "to": known["last_ms"]}
    timeline = await demo.ask(f"cameras/{camera}/timeline", **span)
    assert timeline["covered"]
    assert all(gap["reason"] for gap in timeline["gaps"]), timeline["gaps"]


async def _advances(page: Page) -> bool:
    before = await overlay(page)
    await page.wait_for_timeout(400)
    after = await overlay(page)
    return bool(after["width"] and after["seconds"] > before["seconds"] and not after["paused"])


async def _painted_nothing(page: Page) -> bool:
    state = await overlay(page)
    return state["boxes"] == 0 and state["painted"] == 0
