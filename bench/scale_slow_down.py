"""An S3 that refuses above a rate (503 SlowDown): the edge's uploader keeps all, live first.

spool: a backlog of an hour ago, and live fragments ──► uploader ──► S3, RATE a second
                                                                      └ 503 SlowDown above it
"""

import argparse
import asyncio
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from domain.events import FragmentArrived, RunStarted
from domain.identity import fragment_key, new_run_id
from domain.times import utc_ms
from edge_bridge.config.schedule import Schedule
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.config.upload import UploadConfig
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from harness.environment import environment, say
from harness.figures import spread
from local.aws import CREDENTIALS
from local.ports import HOST, find_free
from stores.aws_endpoint import AwsEndpoint
from stores.signed_objects import SignedObjectStore

RATE = 20.0
"""Requests a second that this S3 takes."""
LIVE_PER_S = 5.0
LIVE_S = 30.0
BACKLOG = 200
CAMERA = "bench/site/cam"
SIZE = 20_000
WITHIN_S = 120.0


class _Refusing:
    """S3's PUT, up to a rate. What it took is in `keys`, with the time."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._at_s = time.monotonic()
        self.keys: dict[str, int] = {}
        self.refused = 0
        self._took = asyncio.Event()
        self.twice = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def has(self, count: int) -> None:
        """Return once it has so many objects."""
        while len(self.keys) < count:
            self._took.clear()
            await self._took.wait()

    async def _answer(self, request: web.Request) -> web.Response:
        await request.read()
        now_s = time.monotonic()
        self._left = min(self._rate, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._left < 1:
            self.refused += 1
            text = (
                "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
            )
            return web.Response(status=503, text=text, content_type="application/xml")
        self._left -= 1
        if request.method == "PUT":
            self.twice += request.path in self.keys
            self.keys.setdefault(request.path, utc_ms())
            self._took.set()
        return web.Response()


def run(_arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Upload against it."""
    with tempfile.TemporaryDirectory(prefix="vigil-scale-") as folder, environment(CREDENTIALS):
        return [asyncio.run(_run(Path(folder)))]


async def _run(folder: Path) -> dict[str, Any]:
    refusing = _Refusing(RATE)
    runner = web.AppRunner(refusing.application())
    await runner.setup()
    port = find_free()
    await web.TCPSite(runner, HOST, port).start()
    endpoint = AwsEndpoint("us-east-1", f"http://{HOST}:{port}", None, 60, max_attempts=1)
    stored = Wakeup()
    limits = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0)
    spool = await asyncio.to_thread(
        SpoolThread, lambda: open_spool(folder, "edge", limits), stored.set
    )
    closed: dict[str, int] = {}
    try:
        started_ms = utc_ms() - 3_600_000
        run = new_run_id(started_ms, os.urandom(10))
        for seq in range(BACKLOG):
            event, data = _fragment(run, seq, started_ms + seq * 2_000)
            spool.fragment(event, data, _started(event))
        async with SignedObjectStore(endpoint, "bench") as store:
            uploader = FragmentUploader(
                spool, store, Link("s3"), stored=stored, uploaded=Wakeup(),
                scheduler=UploadScheduler("live"), bandwidth=BandwidthLimiter(Schedule()),
                concurrency=ConcurrencyLimit.from_config(UploadConfig()),
            )  # fmt: skip
            task = asyncio.create_task(uploader.run())
            run = new_run_id(utc_ms(), os.urandom(10))
            for seq in range(round(LIVE_S * LIVE_PER_S)):
                event, data = _fragment(run, seq, utc_ms() - 2_000)
                spool.fragment(event, data, _started(event))
                closed[f"/bench/{fragment_key(CAMERA, run, seq)}"] = utc_ms()
                stored.set()
                await asyncio.sleep(1 / LIVE_PER_S)
            say(f"{len(refusing.keys)} stored, {refusing.refused} refused")
            began_s = time.monotonic()
            wanted = BACKLOG + len(closed)
            drained = asyncio.create_task(refusing.has(wanted))
            await asyncio.wait({drained}, timeout=WITHIN_S)
            drained.cancel()
            drained_s = time.monotonic() - began_s
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await asyncio.to_thread(spool.close)
        await runner.cleanup()
    waits = [
        max(0.0, float(refusing.keys[key] - at_ms))
        for key, at_ms in closed.items()
        if key in refusing.keys
    ]
    return {
        "rate_per_s": RATE, "live_per_s": LIVE_PER_S, "backlog": BACKLOG,
        "refused": refusing.refused, "sent_twice": refusing.twice, "drained_s": round(drained_s, 1),
        "lost": wanted - len(refusing.keys),
        **spread("live_waits_ms", waits), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _fragment(run: str, seq: int, start_ms: int) -> tuple[FragmentArrived, bytes]:
    data = os.urandom(SIZE)
    event = FragmentArrived(
        camera=CAMERA, run=run, seq=seq, start_ms=start_ms, duration_ms=2_000,
        start_pts=seq * 180_000, arrived_ms=start_ms, closed_ms=start_ms + 2_000, frames=50,
        size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), video_codec="h264",
        width=64, height=64, keyframes=[],
    )  # fmt: skip
    return event, data


def _started(event: FragmentArrived) -> RunStarted:
    return RunStarted(camera=CAMERA, run=event.run, started_ms=event.start_ms, edge="edge")
