"""hls.js and the dashboard's player in Chromium, on lists that other players gave up at.

    late   an earlier run's backlog arrives while a later run is live
    two    two devices record one camera
    back   a device's clock was 20 s ahead and is set back: another run begins
    size   the pictures become larger inside a run

And the dashboard's player where hls.js alone gives up, live and recorded:

    audio  audio appears and vanishes inside a run, and another run begins with audio
    past   the same as a recording, with a gap before the other run

Each page plays one camera. A step is a second of footage: it comes once all pages have loaded their
list again.
"""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from domain.events import FragmentArrived, RunEnded
from local import dashboard
from local.folder import project_root
from media import live
from stores.catalog import add_camera, index_fragments, index_runs
from tests.chromium import CHROMIUM, running_chromium
from tests.footage import draw_number, encoded
from tests.hls_rules import broken_by_change, read_playlist
from tests.integration.catalog_support import T0
from tests.integration.player_front import Front, running_front
from tests.integration.web_support import Web, running_web
from tests.recorder import FPS, Recorder
from tests.waiting import wait_for

HLS = "web/dashboard/node_modules/hls.js/dist/hls.min.js"
PAGE = b"""<!doctype html><video id=video muted autoplay></video><script src=/hls.js></script>
<script>
const seen = [], errors = [];
const hls = new Hls({liveSyncDurationCount: 3});
hls.on(Hls.Events.ERROR, (_, e) => errors.push({what: e.details, fatal: e.fatal, why: e.reason}));
hls.on(Hls.Events.FRAG_CHANGED, (_, e) => seen.push(e.frag.sn));
hls.loadSource(location.hash.slice(1));
hls.attachMedia(document.getElementById("video"));
</script>"""
PLAYER_PAGE = b"""<!doctype html><video id=video muted></video><canvas id=poster hidden></canvas>
<script src=/hls.js></script><script src=/player.js></script>
<script>
const shown = [], states = [];
let player;
async function play(camera, nowMs, atMs) {
  await vigil.withServerTime(async () => ({now_ms: nowMs}))();
  player = new vigil.Player(Hls, video, poster, camera);
  player.onFrame = (wallMs) => shown.push(wallMs);
  player.state.subscribe(({status, message}) =>
    states.push(`${Math.round(performance.now())} ${message ?? status}`));
  if (atMs === null) player.goLive(); else await player.seek(atMs);
}
</script>"""
BEFORE_S = 9
"""So many seconds of footage exist when the pages open."""
STEPS = 10
BEHIND = 5
"""So many segments may be between the one shown and the newest."""
SECOND_MS = 1_000
LARGE_FROM = 11
AUDIO = range(3, 5)
"""These seqs of `AudioRecorder` have audio."""
SILENT_S = 7
"""So long is its run. Another one with audio follows."""
FOOTAGE_S = 10
"""So long is the footage of both."""
BUSY = 2
"""A busy machine may skip so many pictures. A player that cuts at each change skips three."""
PAST = T0 - 1_200_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@dataclass
class Camera:
    """A camera, and which fragments arrive at which step; step 0 is before the pages open."""

    name: str
    arrivals: dict[int, list[tuple[Recorder, int]]] = field(default_factory=dict)
    ends: list[RunEnded] = field(default_factory=list)
    """Known from the start."""

    @property
    def id(self) -> str:
        return f"acme/browser/{self.name}"

    @property
    def path(self) -> str:
        return f"/api/v1/cameras/{self.id}/playlist.m3u8"

    def recorder(self, seed: bytes, start_ms: int) -> Recorder:
        return Recorder(self.id, start_ms, duration_ms=SECOND_MS, entropy=seed * 10)

    def add(self, step: int, recorder: Recorder, seqs: Sequence[int]) -> None:
        self.arrivals.setdefault(step, []).extend((recorder, seq) for seq in seqs)


def late() -> Camera:
    camera = Camera("late")
    earlier = camera.recorder(b"a", T0 - 40 * SECOND_MS)
    later = camera.recorder(b"b", T0 - BEFORE_S * SECOND_MS)
    camera.add(0, earlier, range(5))
    camera.add(0, later, range(BEFORE_S))
    for step in range(1, STEPS + 1):
        camera.add(step, later, [BEFORE_S + step - 1])
        camera.add(step, earlier, [5 + step - 1])
    return camera


def two() -> Camera:
    camera = Camera("two")
    one = camera.recorder(b"a", T0 - BEFORE_S * SECOND_MS - 300)
    other = camera.recorder(b"b", T0 - BEFORE_S * SECOND_MS)
    for seq in range(BEFORE_S):
        camera.add(0, one, [seq])
        camera.add(0, other, [seq])
    for step in range(1, STEPS + 1):
        camera.add(step, one, [BEFORE_S + step - 1])
        camera.add(step, other, [BEFORE_S + step - 1])
    return camera


def back() -> Camera:
    camera = Camera("back")
    ahead = camera.recorder(b"a", T0 + 20 * SECOND_MS - BEFORE_S * SECOND_MS)
    right = camera.recorder(b"b", T0)
    camera.add(0, ahead, range(BEFORE_S))
    for step in range(1, STEPS + 1):
        camera.add(step, right, [step - 1])
    camera.ends.append(
        RunEnded(
            camera=camera.id,
            run=ahead.run,
            ended_ms=T0 + 20 * SECOND_MS,
            last_seq=BEFORE_S - 1,
            reason="the clock was set",
        )
    )
    return camera


class ChangingRecorder(Recorder):
    """Its run has larger pictures from seq LARGE_FROM on."""

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        event, data = super().film(seq)
        if seq < LARGE_FROM:
            return event, data
        data = encoded(
            (draw_number(seq * FPS + at, 192, 128) for at in range(event.frames)),
            event.start_pts,
            fps=FPS,
            options={"preset": "ultrafast", "bf": "0"},
        )
        sha256 = hashlib.sha256(data).hexdigest()
        size = {"width": 192, "height": 128, "size_bytes": len(data), "sha256": sha256}
        return event.model_copy(update=size), data


def size() -> Camera:
    camera = Camera("size")
    start_ms = T0 - BEFORE_S * SECOND_MS
    run = ChangingRecorder(camera.id, start_ms, duration_ms=SECOND_MS, entropy=b"a" * 10)
    camera.add(0, run, range(BEFORE_S))
    for step in range(1, STEPS + 1):
        camera.add(step, run, [BEFORE_S + step - 1])
    return camera


class AudioRecorder(Recorder):
    """Its fragments of the seqs in `with_audio` have audio."""

    with_audio: range = AUDIO

    def film(self, seq: int) -> tuple[FragmentArrived, bytes]:
        event, data = super().film(seq)
        if seq not in self.with_audio:
            return event, data
        data = encoded(
            (draw_number(seq * FPS + at, 96, 64) for at in range(event.frames)),
            event.start_pts,
            fps=FPS,
            options={"preset": "ultrafast", "bf": "0"},
            with_audio=True,
        )
        sha256 = hashlib.sha256(data).hexdigest()
        changed = {"audio_codec": "aac", "size_bytes": len(data), "sha256": sha256}
        return event.model_copy(update=changed), data


def audio(name: str, start_ms: int, before_s: int, *, lost: int | None = None) -> Camera:
    camera = Camera(name)
    one = AudioRecorder(camera.id, start_ms, duration_ms=SECOND_MS, entropy=b"a" * 10)
    later_ms = start_ms + SILENT_S * SECOND_MS
    two = AudioRecorder(camera.id, later_ms, duration_ms=SECOND_MS, entropy=b"b" * 10)
    two.with_audio = range(FOOTAGE_S)
    for second in range(FOOTAGE_S):
        step = max(0, second - before_s + 1)
        if second == lost:
            continue
        if second < SILENT_S:
            camera.add(step, one, [second])
        else:
            camera.add(step, two, [second - SILENT_S])
    ended = {"ended_ms": later_ms, "last_seq": SILENT_S - 1, "reason": "camera closed"}
    camera.ends.append(RunEnded(camera=camera.id, run=one.run, **ended))
    return camera


def bundle(path: Path) -> bytes:
    """Return the dashboard's player as a script."""
    source = project_root() / "web" / "dashboard"
    entry = path / "entry.js"
    entry.write_text(
        f'export {{ Player }} from "{source}/src/player/player.ts";'
        f'export {{ withServerTime }} from "{source}/src/clock.ts";'
    )
    node = Path(sys.executable).parent / "node"
    rolldown = source / "node_modules/rolldown/bin/cli.mjs"
    options = ("--format", "iife", "--name", "vigil", "--file", str(path / "player.js"))
    subprocess.run([node, rolldown, entry, *options], cwd=source, check=True, capture_output=True)
    return (path / "player.js").read_bytes()


def pictures_missed(start_ms: int, shown: Sequence[float]) -> list[int]:
    """Return the times, after the start, of pictures between the first and the last shown."""
    due = range(0, FOOTAGE_S * SECOND_MS, SECOND_MS // FPS)
    times = [each - start_ms for each in shown]
    near = SECOND_MS // FPS // 2
    return [
        each
        for each in due
        if times[0] < each < times[-1] and not any(abs(each - time) < near for time in times)
    ]


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


async def arrive(web: Web, camera: Camera, step: int) -> None:
    for recorder, seq in camera.arrivals.get(step, ()):
        event = await recorder.put(web.store, seq)
        await index_fragments(web.catalog, [event], T0 + step * SECOND_MS)


async def shown(page: Page) -> list[int]:
    numbers: list[int] = await page.evaluate("seen")
    return numbers


def newest_number(front: Front, camera: Camera) -> int:
    return read_playlist(front.playlists[camera.path][-1]).segments[-1].number


async def test_hls_js_plays_through(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "TARGETS_S", (1, *live.TARGETS_S))
    await asyncio.to_thread(dashboard.build, print, tmp_path / "build.log")
    cameras = [late(), two(), back(), size()]
    live_start = T0 - BEFORE_S * SECOND_MS
    changing = [
        audio("audio", live_start, BEFORE_S),
        audio("past", PAST, FOOTAGE_S, lost=SILENT_S - 1),
    ]
    starts = [live_start, PAST]
    for camera in [*cameras, *changing]:
        await add_camera(web.catalog, camera.id, camera.name, T0)
        await arrive(web, camera, 0)
        await index_runs(web.catalog, camera.ends)
    web.set_now(T0)
    files = {
        "/": PAGE,
        "/player": PLAYER_PAGE,
        "/player.js": await asyncio.to_thread(bundle, tmp_path),
        "/hls.js": (project_root() / HLS).read_bytes(),
    }
    async with running_front(web, files) as front, running_chromium() as browser:
        pages = [await browser.new_page() for _ in cameras]
        for camera, page in zip(cameras, pages, strict=True):
            await page.goto(f"{front.url}/#{camera.path}?live=1")
        changing_pages = [await browser.new_page() for _ in changing]
        for camera, page, at_ms in zip(changing, changing_pages, [None, PAST], strict=True):
            await page.goto(f"{front.url}/player")
            await page.evaluate("([id, now, at]) => play(id, now, at)", [camera.id, T0, at_ms])

        def loads() -> list[int]:
            return [len(front.playlists.get(camera.path, ())) for camera in cameras]

        for step in range(1, STEPS + 1):
            before = loads()
            await wait_for(
                lambda before=before: all(a > b for a, b in zip(loads(), before, strict=True)),
                within_s=30,
                what="the pages to load their lists again",
            )
            web.set_now(T0 + step * SECOND_MS)
            for camera in [*cameras, *changing]:
                await arrive(web, camera, step)
        for camera, page in zip(cameras, pages, strict=True):

            async def is_near(page: Page = page, camera: Camera = camera) -> bool:
                numbers = await shown(page)
                return bool(numbers) and numbers[-1] >= newest_number(front, camera) - BEHIND

            try:
                await wait_for(is_near, within_s=30, what=f"{camera.name} to show the newest")
            finally:
                errors: list[dict[str, Any]] = await page.evaluate("errors")
                print(camera.name, await shown(page), errors)
            numbers = await shown(page)
            assert [each for each in errors if each["fatal"]] == [], camera.name
            assert not any("levelParsing" in each["what"] for each in errors), camera.name
            assert numbers == sorted(set(numbers)), f"{camera.name} jumped back: {numbers}"
        past_page = changing_pages[-1]
        for camera, page, start_ms in zip(changing, changing_pages, starts, strict=True):
            last_ms = start_ms + FOOTAGE_S * SECOND_MS - 2 * SECOND_MS // FPS

            async def is_past(page: Page = page, last_ms: int = last_ms) -> bool:
                return bool(await page.evaluate("shown.at(-1)") > last_ms)

            try:
                await wait_for(is_past, within_s=30, what=f"{camera.name} to show the end")
            finally:
                shown_ms = await page.evaluate("shown")
                states = await page.evaluate("states")
                print(camera.name, [round(each - start_ms) for each in shown_ms], states)
            missed = pictures_missed(start_ms, shown_ms)
            lost = range((SILENT_S - 1) * SECOND_MS, SILENT_S * SECOND_MS)
            skipped = set(missed) - set(lost if camera.name == "past" else ())
            assert len(skipped) <= BUSY, f"{camera.name} did not show {sorted(skipped)}"
            assert any("playing" in each for each in states), camera.name
            assert not any("This browser" in each for each in states), camera.name
        for second in (FOOTAGE_S - 3, AUDIO.start - 2, AUDIO.start):
            # In one list, to a place where the tracks differ from those that are loaded.
            at_ms = PAST + second * SECOND_MS
            await past_page.evaluate("at => { shown.length = 0; player.seek(at) }", at_ms)

            async def is_there(at_ms: int = at_ms) -> bool:
                return bool(
                    await past_page.evaluate(
                        "at => shown.some(ms => ms > at && ms < at + 999)", at_ms
                    )
                )

            await wait_for(is_there, within_s=30, what=f"the player to show second {second}")
    for camera in [*cameras, changing[0]]:
        lists = [read_playlist(text) for text in front.playlists[camera.path]]
        assert [fault for each in lists for fault in each.faults] == [], camera.name
        broken = [fault for pair in pairwise(lists) for fault in broken_by_change(*pair)]
        assert broken == [], camera.name
