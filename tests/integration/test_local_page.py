"""The edge's own page, with no cloud at all: by its addresses, and in a browser."""

import asyncio
import io
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import av
import cv2
import numpy as np
import pytest
from playwright.async_api import async_playwright, expect

from domain.live_stream import LiveKind
from local.folder import DataFolder
from local.ports import HOST, Ports
from streams.settings import Settings
from tests.edge import Edge
from tests.footage import read_number, write_clip
from tests.live_pictures import LivePictures
from tests.waiting import wait_for

CHROMIUM = shutil.which("chromium")
PASSWORD = "at the gate"
CAMERA = "acme/alone/gate"
FPS = 25
SHOWN = """() => new Promise(resolve => {
  const video = document.querySelector("video");
  video.requestVideoFrameCallback((now) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 192, height: 128});
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0);
    let value = 0;
    for (let cell = 0; cell < 24; cell++) {
      const x = (cell % 6) * 32 + 16, y = Math.floor(cell / 6) * 32 + 16;
      value = value * 2 + (context.getImageData(x, y, 1, 1).data[0] > 125);
    }
    const number = Math.floor(value / 256), check = ~(number ^ (number >> 8)) & 255;
    const utc = Number(document.querySelector("#clock").dataset.at);
    resolve([check === value % 256 ? number : null, utc, performance.timeOrigin + now]);
  });
})"""
"""Returns the number of the next picture on the screen, its UTC, and when it was shown."""
expect.set_options(timeout=60_000)


@dataclass
class Alone:
    """An edge that reaches no cloud, and a session at its page."""

    edge: Edge
    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        async with self.session.get(f"{self.url}/{path}") as answer:
            return answer.status, await answer.read()

    async def sign_in(self) -> None:
        """Exchange the password for a cookie."""
        async with self.session.post(f"{self.url}/session", json={"password": PASSWORD}) as answer:
            assert answer.status == 204, await answer.text()

    async def footage_ms(self) -> int:
        """Return how much footage of the last hour the page reports, ms."""
        async with self.session.get(f"{self.url}/api/cameras/{CAMERA}/spans") as answer:
            spans = (await answer.json())["spans"] if answer.status == 200 else []
        return sum(end - start for start, end in spans)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    clip = await asyncio.to_thread(write_clip, tmp_path / "clip.mp4", 120 * FPS)
    folder = DataFolder(tmp_path / "ports")
    folder.open(fresh=False)
    port, unused = Ports(folder).take("page"), Ports(folder).take("unused")
    nowhere = f"http://{HOST}:{unused}"
    settings = Settings(
        s3_endpoint=nowhere, sqs_endpoint=nowhere, sqs_queue_url=f"{nowhere}/0/none"
    )
    env = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "PAGE_WORD": PASSWORD}
    cameras = [
        {
            "id": "gate",
            "url": f"{clip.as_uri()}?loop=1",
            "audio": False,
            "privacy_masks": [[[0.5, 0], [1, 0], [1, 1], [0.5, 1]]],
        },
        {"id": "dead", "url": f"rtsp://{HOST}:{unused}/none"},
    ]
    http = {"port": port, "password_env": "PAGE_WORD"}
    async with (
        Edge(
            tmp_path, settings, "acme/alone", cameras, env=env, http=http, upload={"flush_s": 1}
        ) as edge,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        alone = Alone(edge, f"http://{HOST}:{port}", session)

        async def answers() -> bool:
            try:
                return (await alone.get("healthz"))[0] in (200, 503)
            except aiohttp.ClientError:
                return False

        await wait_for(answers, within_s=60, what=lambda: f"an answer\n{edge.tail()}")
        yield alone


async def test_without_the_password_nothing_is_shown(alone: Alone) -> None:
    asked = ["api/state", f"api/cameras/{CAMERA}/picture.jpg", f"api/cameras/{CAMERA}/spans",
             f"api/cameras/{CAMERA}/live",
             f"api/cameras/{CAMERA}/stretch?at=0",
             f"api/cameras/{CAMERA}/play.mp4?at=0"]  # fmt: skip
    assert {path: (await alone.get(path))[0] for path in asked} == dict.fromkeys(asked, 401)
    for body in ('{"password": "wrong"}', '{"password": 5}', "[]", "{"):
        async with alone.session.post(f"{alone.url}/session", data=body) as answer:
            assert answer.status in (400, 401)
    assert PASSWORD not in alone.edge.tail()


async def test_state_pictures_and_footage_without_any_cloud(alone: Alone) -> None:
    await alone.sign_in()
    assert (await alone.get("api/cameras/acme/alone/other/spans"))[0] == 404
    assert (await alone.get(f"api/cameras/{CAMERA}/play.mp4?at=later"))[0] == 400
    assert (await alone.get(f"api/cameras/{CAMERA}/stretch?at=0&for_s=601"))[0] == 400

    async def recorded() -> bool:
        return await alone.footage_ms() >= 6_000

    await wait_for(recorded, within_s=60, what=lambda: f"6 s of footage\n{alone.edge.tail()}")
    async with alone.session.get(f"{alone.url}/api/state") as answer:
        state = await answer.json()
    assert {one["camera"]: one["state"] for one in state["cameras"]}[CAMERA] == "recording"
    assert state["links"]["s3"]["down_since_s"] is not None
    assert state["disk"]["state"] == "good"
    status, picture = await alone.get(f"api/cameras/{CAMERA}/picture.jpg")
    assert (status, picture[:2]) == (200, b"\xff\xd8")
    shown = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    middle = shown.shape[1] // 2
    assert shown[:, middle + 8 :].max() < 20, "what the mask hides is black"
    assert shown[:, : middle - 8].max() > 20
    assert (await alone.get("api/cameras/acme/alone/dead/picture.jpg"))[0] == 404
    query = f"at={state['now_ms'] - 60_000}&for_s=60"
    async with alone.session.get(f"{alone.url}/api/cameras/{CAMERA}/stretch?{query}") as answer:
        stretch = await answer.json()
    async with alone.session.get(f"{alone.url}/api/cameras/{CAMERA}/play.mp4?{query}") as answer:
        assert answer.status == 200
        # the run grows: the stretch begins where it did, and ends no earlier
        assert answer.headers["Vigil-Start-Ms"] == str(stretch["start_ms"])
        assert int(answer.headers["Vigil-End-Ms"]) >= stretch["end_ms"] > stretch["start_ms"]
        footage = await answer.read()
    with av.open(io.BytesIO(footage)) as made:
        numbers = [read_number(frame.to_ndarray(format="gray")) for frame in made.decode(video=0)]
    assert len(numbers) >= 5 * FPS
    assert numbers == list(range(len(numbers)))  # from the run's first picture on


async def test_the_live_picture_is_for_those_who_signed_in(alone: Alone) -> None:
    url = f"{alone.url}/api/cameras/{CAMERA}/live"
    await alone.sign_in()
    for path, status in ((f"{url}?feed=other", 400), (url.replace("gate", "none"), 404)):
        async with alone.session.get(path) as answer:
            assert answer.status == status
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await alone.session.ws_connect(url, headers={"Origin": "http://elsewhere.example"})
    assert refused.value.status == 403
    pictures = LivePictures()
    async with alone.session.ws_connect(url) as socket:
        async for message in socket:
            pictures.add(message.data)
            if pictures.pictures >= 2 * FPS:
                break
    assert [each.kind for each in pictures.messages[:3]] == [
        LiveKind.FORMAT,
        LiveKind.INIT,
        LiveKind.KEYFRAME,
    ]
    numbers = [number for number in pictures.numbers() if number is not None]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= 2 * FPS


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_person_signs_in_sees_the_cameras_and_plays(alone: Alone) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(alone.url)
        await page.get_by_label("Password of this device").fill("not this one")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("Wrong password.")
        await page.get_by_label("Password of this device").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".tile")).to_have_count(2)
        await expect(page.locator("#device")).to_contain_text("S3 unreachable")
        await expect(page.get_by_alt_text(f"Newest picture of {CAMERA}")).to_be_visible()
        await page.locator(".tile", has_text="gate").click()
        await expect(page.locator("#place")).to_have_text("Live")
        await expect(page.locator("#clock")).to_contain_text(":")
        shown = [await page.evaluate(SHOWN) for _ in range(3 * FPS)]
        # each picture carries its number: its time is that of the number
        numbers = [number for number, *_ in shown]
        assert None not in numbers
        drift = {round(utc_ms - number * 1_000 / FPS, -2) for number, utc_ms, _ in shown}
        assert max(drift) - min(drift) <= 100
        delays = sorted(at_ms - utc_ms for _, utc_ms, at_ms in shown)
        assert delays[len(delays) // 2] < 3_000, delays
        video = page.locator("#video")

        async def played() -> bool:
            return bool(
                await video.evaluate(
                    "video => video.src.includes('play.mp4') && video.currentTime > 1"
                )
            )

        async def recorded() -> bool:
            return await alone.footage_ms() >= 12_000

        await alone.sign_in()
        await wait_for(recorded, within_s=60, what="12 s of footage")
        await page.keyboard.press("ArrowLeft")
        await wait_for(played, within_s=60, what="the footage of 10 s ago plays")
        await expect(page.locator("#place")).to_contain_text("behind")
        await page.get_by_role("button", name="Live").click()
        await expect(page.locator("#place")).to_have_text("Live")
        await page.keyboard.press("Escape")
        # problems come first, in words, and say why
        await expect(page.locator(".tile").first).to_contain_text("Failing")
        await expect(page.locator(".tile .why").first).to_contain_text("Since")
        await page.locator(".tile", has_text="gate").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password of this device")).to_be_visible()
        await page.get_by_label("Password of this device").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".tile").first).to_be_visible()
        assert errors == []
        await browser.close()
