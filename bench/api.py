"""Requests a second of the API, compared with a bare aiohttp handler that runs the same SQL.

    load ──► web worker: keys, roles, row-level security, log, metrics ──► PostgreSQL
    load ──► bare handler: nothing of these ───────────────────────────► the same PostgreSQL

The two take turns in short rounds, so that both see the same machine.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.catalog import minute_chunk
from bench.http_load import load
from domain.access import Grant, Role
from domain.events import Detection
from domain.identity import new_run_id
from domain.times import utc_ms
from harness.environment import own_services, say
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, worker
from stores.catalog import Catalog, add_camera, index_chunks, index_detections, migrate
from stores.catalog.keys import create_key
from streams.settings import get_settings

CAMERAS = 20
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
SECOND_MS = 1_000
_WITHIN_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each arm (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round (default 2)")
    parser.add_argument("--connections", type=int, default=8, help="at once (default 8)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill a catalog, then ask both arms in turn."""
    with own_services("api") as (_, scratch):
        return asyncio.run(_measure(scratch, arguments))


async def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    dsn = get_settings().database_url.get_secret_value()
    await migrate(dsn)
    now_ms = utc_ms()
    async with Catalog(dsn, size=1) as catalog:
        start_ms = await fill(catalog, now_ms)
        # A role on one tenant: the rows of the other are hidden.
        grants = [Grant(Role.VIEWER, "acme")]
        key = await create_key(catalog, "bench", now_ms, None, grants)
    async with servers(folder, dsn, now_ms) as (port, bare_port):
        figures: dict[str, Any] = {"connections": arguments.connections}
        span = f"from={start_ms}&to={start_ms + HOUR_MS}"
        for name, suffix in (("camera", ""), ("timeline", f"/timeline?{span}")):
            paths = [f"/api/v1/cameras/acme/hq/{number:02}{suffix}" for number in range(CAMERAS)]
            rates: dict[int, list[float]] = {port: [], bare_port: []}
            for number in range(arguments.rounds + 1):
                for each, measured in rates.items():
                    began = time.perf_counter()
                    result = await load(
                        *(HOST, each, paths, key),
                        connections=arguments.connections,
                        seconds=arguments.seconds,
                    )
                    if result.refused:
                        raise RuntimeError(f"{result.refused} requests were refused.")
                    if number:  # the first round warms up
                        measured.append(len(result.seconds) / (time.perf_counter() - began))
            ours, bare = (statistics.median(rates[each]) for each in (port, bare_port))
            figures |= {
                f"{name}_per_s": round(ours),
                f"{name}_bare_per_s": round(bare),
                f"{name}_ratio": round(ours / bare, 2),
            }
            say(f"{figures}")
    figures["ratio"] = min(figures["camera_ratio"], figures["timeline_ratio"])
    return figures | {"load": round(os.getloadavg()[0], 1)}


async def fill(catalog: Catalog, now_ms: int) -> int:
    """Index an hour of footage and detections of the cameras of two tenants; return its start."""
    start_ms = now_ms - now_ms % MINUTE_MS - HOUR_MS - 5 * MINUTE_MS
    for tenant in ("acme", "globex"):
        for number in range(CAMERAS):
            camera = f"{tenant}/hq/{number:02}"
            run_id = new_run_id(start_ms, number.to_bytes(10, "big"))
            await add_camera(catalog, camera, camera, start_ms)
            chunks = [
                minute_chunk(camera, run_id, start_ms + at * MINUTE_MS, 15 * at, 4_000)
                for at in range(66)
            ]
            await index_chunks(catalog, chunks, now_ms)
            await index_detections(catalog, _detections(camera, run_id, start_ms))
    return start_ms


def _detections(camera: str, run_id: str, start_ms: int) -> list[Detection]:
    """Return the detections of an hour: two objects each 20 s."""
    box = {"label": "person", "score": 0.9, "box": (0.1, 0.1, 0.2, 0.4)}
    return [
        Detection.model_validate(
            {
                "camera": camera,
                "run": run_id,
                "model": "people",
                "model_version": "1",
                "frames": [
                    {"pts": at_ms * 90, "at_ms": start_ms + at_ms, "objects": [box, box]}
                    for at_ms in range(0, HOUR_MS, 20 * SECOND_MS)
                ],
            }
        )
    ]


@asynccontextmanager
async def servers(
    folder: Path, dsn: str, now_ms: int, requests_per_s: int = 0
) -> AsyncIterator[tuple[int, int]]:
    """Run a web worker and the bare handler; yield their ports. 0: requests have no bound."""
    data = DataFolder(folder / "processes")
    data.open(fresh=False)
    port = find_free()
    metrics_port = find_free({port})
    bare_port = find_free({port, metrics_port})
    env = {
        **os.environ,
        "VIGIL_DATA_DIR": str(folder / "state"),
        "VIGIL_WEB_HOST": HOST,
        "VIGIL_WEB_PORT": str(port),
        "VIGIL_METRICS_PORT": str(metrics_port),
        "VIGIL_REQUESTS_PER_S": str(requests_per_s),
        "VIGIL_ROW_SECURITY": "require",
    }
    bare = ["-m", "bench.api_bare", dsn, str(bare_port), str(now_ms)]
    programs = [Program("web", worker("web.app"), data, env), Program("bare", bare, data, env)]
    for program in programs:
        await asyncio.to_thread(program.launch)
    try:
        await _ready(f"http://{HOST}:{port}/readyz")
        await _ready(f"http://{HOST}:{bare_port}/api/v1/cameras/acme/hq/00")
        yield port, bare_port
    finally:
        for program in programs:
            program.process.ask_to_stop()
        for program in programs:
            await asyncio.to_thread(program.process.stop)


async def _ready(url: str) -> None:
    deadline = time.monotonic() + _WITHIN_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError(f"{url} is not ready")
