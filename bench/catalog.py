"""A catalog of some years: how long look-ups take, how many locks they hold, who waits for a list.

    chunks      one partition a day, 1,500 days; one long run has a chunk each week
    look-ups    a fragment's address, the live list, a recorded minute, seqs in chunks

Then a web worker makes a day's list of fragments of a second, and is asked for /healthz.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from domain.events import ChunkComplete, FragmentArrived, Keyframe, ManifestFragment
from domain.identity import chunk_key, new_run_id
from harness.environment import own_services, say
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, worker
from stores.catalog import Catalog, add_camera, index_chunks, index_fragments, migrate
from stores.catalog.inventory import seqs_in_chunks
from stores.catalog.keys import create_key
from stores.catalog.live_sections import live_sections_of
from stores.catalog.playback import locate_fragment, playback_segments
from stores.catalog.pool import DAY_MS
from streams.settings import get_settings

CAMERA = "bench/catalog/gate"
DAY_CAMERA = "bench/catalog/day"
NOW_MS = 1_795_369_380_000
WEEK_MS = 7 * DAY_MS
MINUTE_MS = 60_000
_WITHIN_S = 120.0
_PAUSE_S = 0.01


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--days", type=int, default=1_500, help="days of chunks (default 1,500)")
    parser.add_argument("--rounds", type=int, default=50, help="look-ups of each (default 50)")
    parser.add_argument(
        "--fragment-ms", type=int, default=1_000, help="fragments of the day's list (default 1,000)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill a catalog, look up, and ask for a day's list."""
    with own_services("catalog") as (_, scratch):
        return asyncio.run(_measure(scratch, arguments))


async def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    dsn = get_settings().database_url.get_secret_value()
    await migrate(dsn)
    async with Catalog(dsn, size=1) as catalog:
        for camera in (CAMERA, DAY_CAMERA):
            await add_camera(catalog, camera, camera, NOW_MS)
        await _make_days(catalog, arguments.days)
        run = await _fill(catalog, arguments.days)
        figures: dict[str, Any] = {"days": arguments.days}
        figures |= await _look_up(catalog, run, arguments.rounds)
        say(f"{figures}")
        from_ms = await _fill_day(catalog, arguments.fragment_ms)
        key = await create_key(catalog, "bench", NOW_MS)
        figures |= await _day_list(folder, key, from_ms)
    return figures | {"load": round(os.getloadavg()[0], 1)}


async def _make_days(catalog: Catalog, days: int) -> None:
    today = NOW_MS - NOW_MS % DAY_MS
    for back in range(days):
        async with catalog.transaction() as connection:
            await connection.execute("SELECT ensure_day('chunks', $1)", today - back * DAY_MS)
    say(f"{days} days")


def minute_chunk(
    camera: str, run: str, start_ms: int, first_seq: int, length_ms: int
) -> ChunkComplete:
    """Return a minute's chunk of fragments of `length_ms`."""
    count, size = MINUTE_MS // length_ms, 188_000
    held = [
        ManifestFragment(
            seq=first_seq + at,
            start_ms=start_ms + at * length_ms,
            duration_ms=length_ms,
            start_pts=(first_seq + at) * length_ms * 90,
            size_bytes=size,
            sha256=f"{first_seq + at:064x}",
            offset=at * size,
            frames=25,
            keyframes=[Keyframe(pts=0, offset=564, size=60_000)],
        )
        for at in range(count)
    ]
    digest = f"{first_seq:032x}"
    return ChunkComplete(
        camera=camera,
        run=run,
        window_start_ms=start_ms,
        window_ms=MINUTE_MS,
        revision=1,
        digest=digest,
        object_key=chunk_key(camera, run, start_ms, MINUTE_MS, digest),
        size_bytes=count * size,
        sha256="ab" * 32,
        start_ms=start_ms,
        end_ms=start_ms + MINUTE_MS,
        reason="complete",
        video_codec="h264",
        width=1920,
        height=1080,
        fragments=held,
        joined_ms=start_ms,
    )


async def _fill(catalog: Catalog, days: int) -> str:
    """Index a run of all weeks, whose newest fragments are in no chunk."""
    weeks = max(1, days // 7 - 1)
    start_ms = NOW_MS - weeks * WEEK_MS
    run = new_run_id(start_ms, bytes(10))
    for number in range(weeks):
        await index_chunks(
            catalog,
            [minute_chunk(CAMERA, run, start_ms + number * WEEK_MS, 100 * number, 4_000)],
            NOW_MS,
        )
    loose = [
        FragmentArrived(
            camera=CAMERA,
            run=run,
            seq=100 * weeks + at,
            start_ms=NOW_MS + at * 4_000,
            duration_ms=4_000,
            start_pts=at * 360_000,
            arrived_ms=NOW_MS,
            closed_ms=NOW_MS,
            frames=100,
            size_bytes=188_000,
            sha256=f"{at:064x}",
            video_codec="h264",
            width=1920,
            height=1080,
        )
        for at in range(5)
    ]
    await index_fragments(catalog, loose, NOW_MS + 20_000)
    return run


async def _look_up(catalog: Catalog, run: str, rounds: int) -> dict[str, Any]:
    async def live() -> None:
        await playback_segments(catalog, CAMERA, NOW_MS - MINUTE_MS, NOW_MS + MINUTE_MS)
        await live_sections_of(catalog, CAMERA)

    lookups: dict[str, Callable[[], Awaitable[object]]] = {
        "fragment": lambda: locate_fragment(catalog, CAMERA, run, 103),
        "live_list": live,
        "recorded_minute": lambda: playback_segments(
            catalog, CAMERA, NOW_MS - WEEK_MS, NOW_MS - WEEK_MS + MINUTE_MS
        ),
        "seqs_in_chunks": lambda: seqs_in_chunks(catalog, CAMERA, [run]),
    }
    figures: dict[str, Any] = {}
    for name, look_up in lookups.items():
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            await look_up()
            times.append((time.perf_counter() - began) * 1_000)
        figures[f"{name}_ms"] = round(statistics.median(times), 1)
        figures[f"{name}_worst_ms"] = round(max(times), 1)
        figures[f"{name}_locks"] = await _locks(catalog, look_up)
    return figures


class _LockCounter:
    """Counts the most locks that a transaction of a catalog holds at its end."""

    def __init__(self, catalog: Catalog) -> None:
        self._plain = catalog.transaction
        self.most = 0

    @asynccontextmanager
    async def transaction(self) -> Any:
        async with self._plain() as connection:
            yield connection
            held = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            )
            self.most = max(self.most, held)


async def _locks(catalog: Catalog, look_up: Callable[[], Awaitable[object]]) -> int:
    counter = _LockCounter(catalog)
    vars(catalog)["transaction"] = counter.transaction
    try:
        await look_up()
    finally:
        del vars(catalog)["transaction"]
    return counter.most


async def _fill_day(catalog: Catalog, length_ms: int) -> int:
    """Index a day of chunks; return its start (UTC, ms)."""
    from_ms = NOW_MS - NOW_MS % DAY_MS - DAY_MS
    run = new_run_id(from_ms, bytes(10))
    chunks = [
        minute_chunk(DAY_CAMERA, run, at_ms, (at_ms - from_ms) // length_ms, length_ms)
        for at_ms in range(from_ms, from_ms + DAY_MS, MINUTE_MS)
    ]
    for first in range(0, len(chunks), 50):
        await index_chunks(catalog, chunks[first : first + 50], NOW_MS)
    return from_ms


async def _day_list(folder: Path, key: str, from_ms: int) -> dict[str, Any]:
    """Ask a web worker for the day's list, and for /healthz at the same time."""
    data = DataFolder(folder / "processes")
    data.open(fresh=False)
    port = find_free()
    env = {
        **os.environ,
        "VIGIL_DATA_DIR": str(folder / "state"),
        "VIGIL_WEB_HOST": HOST,
        "VIGIL_WEB_PORT": str(port),
        "VIGIL_METRICS_PORT": str(find_free({port})),
    }
    program = Program("web", worker("web.app"), data, env)
    await asyncio.to_thread(program.launch)
    try:
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(f"http://{HOST}:{port}", headers=headers) as session:
            await _ready(session)
            query = f"from={from_ms}&to={from_ms + DAY_MS}"
            path = f"/api/v1/cameras/{DAY_CAMERA}/playlist.m3u8?{query}"
            idle = await _waits(session, asyncio.sleep(2))
            began = time.perf_counter()
            waits = await _waits(session, _get(session, path))
            seconds = time.perf_counter() - began
        assert program.process.pid is not None
        peak_mib = _peak_mib(program.process.pid)
    finally:
        program.process.ask_to_stop()
        await asyncio.to_thread(program.process.stop)
    return {
        "day_list_s": round(seconds, 1),
        "healthz_idle_ms": round(statistics.median(idle) * 1_000, 1),
        "healthz_median_ms": round(statistics.median(waits) * 1_000, 1),
        "healthz_worst_ms": round(max(waits) * 1_000),
        "web_peak_mib": peak_mib,
    }


def _peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


async def _ready(session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        try:
            async with session.get("/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError("the web worker is not ready")


async def _get(session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
        text = await answer.text()
    if answer.status != 200:
        raise RuntimeError(json.dumps({"status": answer.status, "text": text[:500]}))


async def _waits(session: aiohttp.ClientSession, during: Awaitable[None]) -> list[float]:
    """Return how long each GET of /healthz took while `during` ran, in seconds."""
    task = asyncio.ensure_future(during)
    waits = []
    while not task.done():
        began = time.perf_counter()
        async with session.get("/healthz") as answer:
            await answer.read()
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(_PAUSE_S)
    await task
    return waits
