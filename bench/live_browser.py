"""How far behind its camera a live picture is on the screen: numbered pictures, in Chromium.

    camera ──► device ──► cloud ──► the dashboard in Chromium ──► the picture's number on a canvas
       │          └─► the device's own page in Chromium ────────► the same
       └─► sent-CAMERA.log: when each picture left the camera

The whole demo runs, with its analysis. A picture is shown when Chromium expects it on the screen
(requestVideoFrameCallback, expectedDisplayTime). All clocks are those of this machine.
"""

import argparse
import asyncio
import bisect
import os
import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

from bench.demo import running_demo
from domain.errors import VigilError
from harness.environment import say
from harness.figures import percentile
from local.demo_cameras import DemoCameras
from local.picture_number import BLOCKS, EDGE_SHARE

CAMERAS = 2
FIRST_WITHIN_S = 90.0
WARM_UP_S = 10.0
FRESH_MS = 1_000
"""A picture that is shown so soon after it was sent is not old."""
_CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
_WATCH = f"""
(() => {{
  const watch = globalThis.vigilWatch = {{shown: [], waits: 0, connectMs: null, unread: 0}};
  const utc = (ms) => performance.timeOrigin + ms;
  const Native = WebSocket;
  globalThis.WebSocket = class extends Native {{
    constructor(...args) {{
      super(...args);
      if (String(args[0]).includes("/live")) watch.connectMs ??= utc(performance.now());
    }}
  }};
  const canvas = new OffscreenCanvas({BLOCKS} * 8, 4);
  const context = canvas.getContext("2d", {{willReadFrequently: true}});
  const numberOf = (video) => {{
    const height = video.videoHeight / {EDGE_SHARE};
    context.drawImage(video, 0, height / 4, video.videoWidth, height / 2,
                      0, 0, canvas.width, canvas.height);
    const {{data}} = context.getImageData(0, 0, canvas.width, canvas.height);
    let value = 0;
    for (let at = 0; at < {BLOCKS}; at++) {{
      value = value * 2 + (data[4 * (2 * canvas.width + at * 8 + 4)] > 125);
    }}
    const number = Math.floor(value / 256);
    return (~(number ^ (number >> 8)) & 255) === value % 256 ? number : null;
  }};
  const follow = (video) => {{
    video.addEventListener("waiting", () => watch.waits++);
    const take = (_, {{expectedDisplayTime, presentedFrames}}) => {{
      const number = numberOf(video);
      if (number === null) watch.unread++;
      else watch.shown.push([number, utc(expectedDisplayTime), presentedFrames]);
      video.requestVideoFrameCallback(take);
    }};
    video.requestVideoFrameCallback(take);
  }};
  let known = null;
  const find = () => {{
    const video = document.querySelector("video");
    if (video && video !== known) follow(known = video);
    requestAnimationFrame(find);
  }};
  find();
}})();
"""


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the demo, measure the cloud's page and the device's page; return the figures of both."""
    return asyncio.run(_run(arguments.seconds))


class SentLog:
    """When a numbered camera sent each of its pictures, in order."""

    def __init__(self, path: Path) -> None:
        rows = [line.split() for line in path.read_text().splitlines()]
        rows = [row for row in rows if len(row) == 2]  # the last line may be incomplete
        self.sent_ms = [int(row[1]) / 1e6 for row in rows]
        self._by_number: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            self._by_number.setdefault(int(row[0]), []).append(index)

    def index(self, number: int, shown_ms: float) -> int | None:
        """Return which sending of a picture it was: the newest one before it was shown."""
        indices = self._by_number.get(number, [])
        at = bisect.bisect_left(indices, shown_ms, key=self.sent_ms.__getitem__)
        return indices[at - 1] if at else None


@dataclass(frozen=True)
class Shown:
    """A picture on the screen."""

    number: int
    at_ms: float
    """UTC."""
    presented: int
    """How many pictures the browser had shown with it. Some of them come without a callback."""


def figures(log: SentLog, shown: list[Shown]) -> dict[str, Any]:
    """Return how late pictures were, how many were dropped, and the longest stay of one."""
    pairs = [
        (index, each) for each in shown if (index := log.index(each.number, each.at_ms)) is not None
    ]
    if len(pairs) < 2:
        raise VigilError("no numbered picture was read on the screen")
    late_ms = [each.at_ms - log.sent_ms[index] for index, each in pairs]
    (first, began), (last, ended) = pairs[0], pairs[-1]
    sent = last - first + 1
    presented = ended.presented - began.presented + 1
    longest_ms = max(after.at_ms - before.at_ms for (_, before), (_, after) in pairwise(pairs))
    return {
        **{f"ms_p{percent}": round(percentile(late_ms, percent)) for percent in (50, 95, 99)},
        "ms_max": round(max(late_ms)),
        "pictures": sent,
        "dropped": max(0, sent - presented),
        "backwards": sum(after < before for (before, _), (after, _) in pairwise(pairs)),
        "longest_stay_ms": round(longest_ms),
    }


def start_figures(log: SentLog, shown: list[Shown], connect_ms: float) -> dict[str, Any]:
    """Return when the first picture came, when the first new one, and the steps back until then."""
    indices = [(log.index(each.number, each.at_ms), each) for each in shown]
    fresh = next(
        (
            each.at_ms - connect_ms
            for index, each in indices
            if index is not None and each.at_ms - log.sent_ms[index] <= FRESH_MS
        ),
        None,
    )
    numbers = [index for index, _ in indices if index is not None]
    return {
        "first_picture_ms": round(shown[0].at_ms - connect_ms) if shown else None,
        "first_fresh_ms": None if fresh is None else round(fresh),
        "start_backwards": sum(after < before for before, after in pairwise(numbers)),
    }


def _shown(watch: dict[str, Any]) -> list[Shown]:
    return [Shown(number, at_ms, presented) for number, at_ms, presented in watch["shown"]]


async def _run(seconds: float) -> list[dict[str, Any]]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise VigilError("Chromium is not installed: `make setup` installs it.")
    async with (
        running_demo(CAMERAS, "--numbered") as (about, data),
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=list(_CHROMIUM_OPTIONS)
        )
        log = DemoCameras.sent_log(data, about["cameras"][0].split("/")[-1])
        lines = []
        for name, show in (("cloud", _show_cloud), ("device", _show_device)):
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            await page.add_init_script(_WATCH)
            await show(page, about)
            lines.append({"page": name, **await _measure(page, log, seconds)})
            say(f"{lines[-1]}")
            await page.close()
        await browser.close()
    return lines


async def _show_cloud(page: Page, about: dict[str, Any]) -> None:
    """Open the first camera in the dashboard."""
    await page.goto(about["url"])
    await page.get_by_role("button", name="Use an API key").click()
    await page.get_by_label("API key").fill(about["api_key"])
    await page.get_by_role("button", name="Sign in").click()
    tile = page.locator(f'[data-camera="{about["cameras"][0]}"]')
    await tile.get_by_text("Recording").wait_for(timeout=FIRST_WITHIN_S * 1_000)
    await page.evaluate("vigilWatch.connectMs = null; vigilWatch.shown.length = 0")
    await tile.click()
    await (
        page.get_by_test_id("live-pill")
        .get_by_text("Live", exact=True)
        .wait_for(timeout=FIRST_WITHIN_S * 1_000)
    )


async def _show_device(page: Page, about: dict[str, Any]) -> None:
    """Open the first camera on the device's own page."""
    await page.goto(about["edge_url"])
    await page.get_by_label("Password of this device").fill(about["api_key"])
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("#wall button").first.wait_for(timeout=FIRST_WITHIN_S * 1_000)
    name = about["cameras"][0].split("/")[-1]
    await page.locator("#wall button", has=page.get_by_text(name, exact=True)).click()
    await (
        page.locator("#place")
        .get_by_text("Live", exact=True)
        .wait_for(timeout=FIRST_WITHIN_S * 1_000)
    )


async def _measure(page: Page, log: Path, seconds: float) -> dict[str, Any]:
    """Return the figures of some seconds of a page that plays live."""
    await asyncio.sleep(WARM_UP_S)
    watch = await page.evaluate("vigilWatch")
    start = start_figures(SentLog(log), _shown(watch), watch["connectMs"])
    await page.evaluate("vigilWatch.shown.length = vigilWatch.waits = vigilWatch.unread = 0")
    await asyncio.sleep(seconds)
    watch = await page.evaluate("vigilWatch")
    await asyncio.sleep(0.5)  # the log has what was shown last
    return {
        **start,
        **figures(SentLog(log), _shown(watch)),
        "unread": watch["unread"],
        "stalls": watch["waits"],
        "load": round(os.getloadavg()[0], 1),
    }
