"""How far behind the camera a live picture is, through the whole cloud, and what it costs.

    camera ─┬─► device ─► link worker ─► relay ─► web worker ─► probe: the picture's number
            └─► a second client of the camera: when it sent the picture

The camera shows numbered pictures. The difference of both arrivals is what Vigil adds to any
client of the camera. Devices have no TLS here, and the browser's buffer is not included.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np

from bench import live_browser
from bench.live_probe import LiveProbe
from bench.live_reference import ReferenceReader
from domain.access import Grant, Role
from domain.commands import CommandKind
from domain.events import Heartbeat
from domain.times import utc_ms
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.config import load
from edge_bridge.link.client import DeviceLink
from edge_bridge.link.handler import CommandHandler
from edge_bridge.link.live_command import live_command
from edge_bridge.live.connection import LiveConnector
from edge_bridge.live.manager import LiveManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.link import Link
from harness.environment import own_services, say
from harness.figures import percentile
from harness.usage import usage
from local.cameras import CameraServer
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, worker
from stores.catalog import Catalog, add_camera, index_heartbeats, migrate
from stores.catalog.keys import create_key
from streams.settings import get_settings
from streams.topic_admin import ensure
from streams.topics import EDGE_COMMAND

SITE, EDGE = "acme/hq", "box"
CAMERA = f"{SITE}/gate"
FPS = 25
FRESH_S = 0.5
"""A picture that came so soon after it was sent is not old."""
CLIP_S = 40
WIDTH, HEIGHT = 640, 360
KBIT = 2_000
KEYS = 4
"""One user may have 64 sockets."""
SECRET = "b" * 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--seconds", type=float, default=20, help="of each phase (default 20)")
    parser.add_argument("--viewers", type=int, default=100, help="at once (default 100)")
    parser.add_argument("--workers", type=int, default=3, help="link workers (default 3)")
    parser.add_argument("--kills", type=int, default=3, help="kills of the relay (default 3)")
    parser.add_argument(
        "--stops",
        type=int,
        default=1,
        help="how often the relay stalls instead, by SIGSTOP (default 1)",
    )
    parser.add_argument(
        "--gop", type=float, default=2, help="seconds between the camera's keyframes (default 2)"
    )
    parser.add_argument(
        "--first", type=int, default=3, help="how often a first viewer comes (default 3)"
    )
    parser.add_argument("--first-only", action="store_true", help="measure nothing else")
    parser.add_argument(
        "--browser",
        action="store_true",
        help="instead: the demo, and when Chromium shows its numbered pictures; a line for the "
        "dashboard, and one for the device's own page",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any] | list[dict[str, Any]]:
    """Start services, workers, a camera and a device; measure."""
    if arguments.browser:
        return live_browser.run(arguments)
    with own_services("live") as (_, scratch):
        return asyncio.run(_run(scratch, arguments))


async def _run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    os.environ["VIGIL_LINK_SECRET"] = SECRET
    get_settings.cache_clear()
    settings = get_settings()
    dsn = settings.database_url.get_secret_value()
    await migrate(dsn)
    await ensure([EDGE_COMMAND], settings=settings)
    async with AsyncExitStack() as stack:
        catalog = await stack.enter_async_context(Catalog(dsn, size=1))
        await add_camera(catalog, CAMERA, "Gate", utc_ms())
        grants = [Grant(Role.VIEWER, "acme")]
        keys = [
            await create_key(catalog, f"bench {number}", utc_ms(), None, grants)
            for number in range(KEYS)
        ]
        await asyncio.to_thread(_write_clip, folder / "clip.mp4", round(arguments.gop * FPS))
        served = [{"name": "gate", "file": str(folder / "clip.mp4")}]
        camera = stack.enter_context(_camera(folder, served))
        workers = await stack.enter_async_context(_workers(folder, arguments.workers))
        port, web = await stack.enter_async_context(_web(folder))
        device = await stack.enter_async_context(_device(folder, camera, workers, catalog))
        reference = stack.enter_context(ReferenceReader(camera))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://{HOST}:{port}/api/v1/cameras/{CAMERA}/live/socket"
        bench = _LiveBench(arguments, session, url, keys, reference, workers, web, device)
        return await bench.measure()


class _BenchLinkWorker:
    """A process, its port, its id, and whether it runs."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, name: str) -> None:
        self.process = process
        self.port = port
        self.id = name
        self.runs = True


class _AnyWorker:
    """An identity whose address is that of a running worker: what a load balancer does."""

    def __init__(self, workers: list[_BenchLinkWorker]) -> None:
        self._workers = workers

    @property
    def url(self) -> str | None:
        """Return the address for the next connection."""
        port = random.choice([each.port for each in self._workers if each.runs])
        return f"http://{HOST}:{port}/as/{SITE}/{EDGE}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context, which plain HTTP does not use."""
        return ssl.create_default_context()


@dataclass
class _LiveBench:
    """The phases, one after the other."""

    arguments: argparse.Namespace
    session: aiohttp.ClientSession
    url: str
    keys: list[str]
    reference: ReferenceReader
    workers: list[_BenchLinkWorker]
    web: int
    """Its process id."""
    asked: list[str]
    """Relays by which the device was asked, the newest last."""

    async def measure(self) -> dict[str, Any]:
        """Return the figures of all phases."""
        seconds = self.arguments.seconds
        await asyncio.sleep(max(8, self.arguments.gop + 2))
        figures: dict[str, Any] = {"idle_bytes": int(_sent()), "idle_asked": len(self.asked)}
        figures |= await self._first_viewers()
        say(f"{figures}")
        if self.arguments.first_only:
            return figures | {"gop_s": self.arguments.gop, "load": round(os.getloadavg()[0], 1)}
        probe = await self._probe()
        await asyncio.sleep(3)
        figures |= await self._phase("one", probe, seconds)
        second = await self._probe()
        figures["second_viewer_s"] = round(second.seen[0][1] - second.began_s, 2)
        await second.close()
        say(f"{figures}")
        figures |= await self._many(probe, seconds)
        say(f"{figures}")
        gaps = [await self._kill(probe) for _ in range(self.arguments.kills)]
        figures["kill_gap_s"] = [round(gap, 2) for gap in gaps]
        gaps = [await self._kill(probe, signal.SIGSTOP) for _ in range(self.arguments.stops)]
        figures["stall_gap_s"] = [round(gap, 2) for gap in gaps]
        await probe.close()
        sent = _sent()
        await asyncio.sleep(12)
        before = _sent()
        await asyncio.sleep(5)
        figures["after_last_viewer_bytes"] = int(before - sent)
        figures["idle_again_bytes"] = int(_sent() - before)
        return figures | {"load": round(os.getloadavg()[0], 1)}

    async def _first_viewers(self) -> dict[str, Any]:
        """Return how long the first viewer waits for a picture, and until it is not old.

        He comes at any moment between two keyframes, while the device sends nothing.
        """
        first, fresh = [], []
        for _ in range(self.arguments.first):
            probe = await self._probe()
            first.append(probe.seen[0][1] - probe.began_s)
            fresh.append(await self._first_fresh_s(probe))
            await probe.close()
            await asyncio.sleep(8 + random.uniform(0, self.arguments.gop))  # the relay lingers
        return {
            "first_picture_s": [round(each, 2) for each in first],
            "first_fresh_s": [round(each, 2) for each in fresh],
        }

    async def _first_fresh_s(self, probe: LiveProbe) -> float:
        """Return after how long the first picture came that was not old."""
        for _ in range(600):
            for number, at_s, _ in probe.seen:
                taken_s = self.reference.arrived_s(number, at_s + 1)
                if taken_s is not None and at_s - taken_s <= FRESH_S:
                    return at_s - probe.began_s
            await asyncio.sleep(0.05)
        raise TimeoutError("all pictures are old")

    async def _probe(self) -> LiveProbe:
        probe = LiveProbe(self.session, self.url, self.keys[0])
        deadline = time.monotonic() + 60
        while not probe.seen:
            if time.monotonic() > deadline or probe.end:
                raise TimeoutError(f"no picture came: {probe.end}")
            await asyncio.sleep(0.01)
        return probe

    async def _phase(self, name: str, probe: LiveProbe, seconds: float) -> dict[str, Any]:
        """Return how late the pictures of some seconds were, and what they cost."""
        first, sent, began_s = len(probe.seen), _sent(), time.monotonic()
        relay = await self._relay()
        before = [usage([pid]).cpu_s for pid in (relay.process.pid, self.web)]
        await asyncio.sleep(seconds)
        took_s = time.monotonic() - began_s
        after = [usage([pid]).cpu_s for pid in (relay.process.pid, self.web)]
        late_ms = []
        for number, at_s, _ in probe.seen[first:]:
            taken_s = self.reference.arrived_s(number, at_s + 1)
            if taken_s is not None:
                late_ms.append((at_s - taken_s) * 1_000)
        behind = {
            f"{name}_ms_p{percent}": round(percentile(late_ms, percent)) for percent in (50, 95, 99)
        }
        return {
            f"{name}_pictures": len(probe.seen) - first,
            **behind,
            f"{name}_device_kbit": round((_sent() - sent) * 8 / took_s / 1_000),
            f"{name}_relay_cpu": round((after[0] - before[0]) / took_s, 3),
            f"{name}_web_cpu": round((after[1] - before[1]) / took_s, 3),
        }

    async def _many(self, probe: LiveProbe, seconds: float) -> dict[str, Any]:
        """Return the same with many viewers."""
        count = self.arguments.viewers - 1
        many = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "bench.live_viewers",
                self.url,
                ",".join(self.keys),
                str(count),
            ),
            stdout=asyncio.subprocess.PIPE,
        )
        assert many.stdout is not None
        try:
            seen: dict[str, int] = {}
            while seen.get("sockets") != count:
                seen = json.loads(await many.stdout.readline())
            await asyncio.sleep(2)
            phase = asyncio.create_task(self._phase("many", probe, seconds))
            began, first = time.monotonic(), json.loads(await many.stdout.readline())
            while not phase.done():
                seen = json.loads(await many.stdout.readline())
            took_s = time.monotonic() - began
            figures = await phase
        finally:
            many.terminate()
            await many.wait()
        mbit = (seen["bytes"] - first["bytes"]) * 8 / took_s / 1e6
        return {"viewers": seen["sockets"] + 1, **figures, "many_viewers_mbit": round(mbit, 1)}

    async def _relay(self) -> "_BenchLinkWorker":
        """Return the worker that relays the camera: the newest that asked the device for it."""
        deadline = time.monotonic() + 60
        while True:  # one that asked may have ended since, and another one asks within seconds
            running = {each.id: each for each in self.workers if each.runs}
            if (found := running.get(self.asked[-1])) is not None:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError("no running worker asks for the camera")
            await asyncio.sleep(0.1)

    async def _kill(self, probe: LiveProbe, number: int = signal.SIGKILL) -> float:
        """Kill or stop the relay; return for how long the viewer saw nothing new."""
        relay = await self._relay()
        last, before_s = probe.seen[-1][0], time.monotonic()
        relay.runs = False
        relay.process.send_signal(number)
        if number == signal.SIGKILL:
            await relay.process.wait()
        killed_s = time.monotonic()
        known = len(probe.seen)
        while not any(at_s > killed_s + 0.2 for _, at_s, _ in probe.seen[known:]):
            if time.monotonic() - killed_s > 60:
                raise TimeoutError(f"no picture came after the kill: {probe.end} {last}")
            await asyncio.sleep(0.01)
        times = [before_s, *(at_s for _, at_s, _ in probe.seen if at_s >= before_s)]
        gap = max(after - before for before, after in pairwise(times))
        say(f"the relay got signal {number}: {gap:.2f} s without a picture")
        if number == signal.SIGSTOP:
            relay.process.kill()
            await relay.process.wait()
        await _start(relay)
        await asyncio.sleep(4)
        return gap


def _sent() -> float:
    """Return the bytes of live pictures that the device has sent."""
    return sum(sample.value for metric in metrics.LIVE_BYTES.collect() for sample in metric.samples
               if sample.name.endswith("_total"))  # fmt: skip


@contextmanager
def _camera(folder: Path, served: list[dict[str, Any]]) -> Iterator[str]:
    with CameraServer.start(folder / "cameras", served) as server:  # type: ignore[arg-type]
        yield server.urls["gate"]


async def _start(one: _BenchLinkWorker) -> None:
    one.process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.live_worker", str(one.port)), stdout=asyncio.subprocess.PIPE
    )
    assert one.process.stdout is not None
    one.id = (await one.process.stdout.readline()).decode().strip()
    one.runs = True


@asynccontextmanager
async def _workers(_folder: Path, count: int) -> AsyncIterator[list[_BenchLinkWorker]]:
    ports: set[int] = set()
    workers: list[_BenchLinkWorker] = []
    try:
        for _ in range(count):
            port = find_free(ports)
            ports.add(port)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.live_worker", str(port)),
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            name = (await process.stdout.readline()).decode().strip()
            workers.append(_BenchLinkWorker(process, port, name))
        yield workers
    finally:
        for each in workers:
            if each.process.returncode is None:
                each.process.kill()
                await each.process.wait()


@asynccontextmanager
async def _web(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Run a web worker; yield its port and its process id."""
    data = DataFolder(folder / "processes")
    data.open(fresh=False)
    port = find_free()
    env = {
        **os.environ,
        "VIGIL_DATA_DIR": str(folder / "state"),
        "VIGIL_WEB_HOST": HOST,
        "VIGIL_WEB_PORT": str(port),
        "VIGIL_METRICS_PORT": str(find_free({port})),
        "VIGIL_REQUESTS_PER_S": "0",
        "VIGIL_MEDIA_BYTES_PER_S": "0",
    }
    program = Program("web", worker("web.app"), data, env)
    await asyncio.to_thread(program.launch)
    try:
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                try:
                    async with session.get(f"http://{HOST}:{port}/readyz") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.1)
        pid = program.process.pid
        assert pid is not None
        yield port, pid
    finally:
        await asyncio.to_thread(program.process.stop)


@asynccontextmanager
async def _device(
    folder: Path, camera: str, workers: list[_BenchLinkWorker], catalog: Catalog
) -> AsyncIterator[list[str]]:
    """Run what a device needs for live pictures; yield the relays by which it was asked."""
    path = folder / "edge.yaml"
    path.write_text(
        json.dumps(
            {
                "site": SITE,
                "edge": EDGE,
                "cloud": {"bucket": "none", "queue_url": "http://127.0.0.1/none"},
                "spool": {"dir": str(folder / "spool")},
                "cameras": [{"id": "gate", "url": camera}],
            }
        )
    )
    config = load(path)
    recorders = RecorderManager(_Nowhere(), EdgeClock())
    identity = _AnyWorker(workers)
    connector = LiveConnector(identity)
    live = LiveManager(recorders, BandwidthLimiter.from_config(config.upload), connector.open)
    asked: list[str] = []
    show = live_command(live, recorders)

    async def carry(command: Any) -> Any:
        asked.append(command.relay)
        return await show(command)

    handler = CommandHandler(lambda: f"{SITE}/{EDGE}", {CommandKind.LIVE: carry})
    link = asyncio.create_task(DeviceLink(identity, handler, Link("link")).run())
    await recorders.apply(config, None)
    event = Heartbeat(
        site=SITE, edge=EDGE, sent_ms=utc_ms(), software="bench", spool_bytes=0, spool_waiting=0,
        disk_free_bytes=1 << 40, cameras=recorders.statuses,
    )  # fmt: skip
    await index_heartbeats(catalog, [event], utc_ms())
    try:
        yield asked
    finally:
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await live.stop()
        await connector.close()
        await recorders.stop()


def _write_clip(path: Path, gop: int) -> None:
    """Write numbered pictures of noise, at a bit rate as a camera's."""
    dice = np.random.default_rng(1)
    noise = [dice.integers(0, 60, (HEIGHT, WIDTH), dtype=np.uint8) for _ in range(8)]
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "sc_threshold": "0"}
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = KBIT * 1_000
        for number in range(CLIP_S * FPS):
            image = noise[number % len(noise)].copy()
            bits = [255 * (number >> bit & 1) for bit in reversed(range(16))]
            image[: HEIGHT // 8] = np.repeat(np.array(bits, dtype=np.uint8), WIDTH // 16)
            frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


class _Nowhere:
    """Takes fragments, and keeps none."""

    def piece(self, *_: object) -> None:
        """Drop it."""

    fragment = discard = end_run = piece
