"""`vigil replay` with live workers: killed, continued, and the same footage at the end."""

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import aiohttp
import pytest

from domain.times import format_ms
from stores.catalog.keys import create_key
from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.integration.catalog_support import fresh_database
from tests.integration.consistency_support import START_MS
from tests.integration.replay_support import rows
from tests.outcome import all_in_chunks, registered
from tests.player import download, parts_of
from tests.recorder import Recorder
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
FRAGMENTS = 20


async def started(cloud: Cloud, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "replay", *arguments),
        cwd=ROOT,
        env=cloud.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(cloud: Cloud, *arguments: str) -> str:
    process = await started(cloud, *arguments)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def killed(cloud: Cloud, *arguments: str) -> None:
    """Start it, and kill -9 it once it has begun to write."""
    process = await started(cloud, *arguments)

    async def begun() -> bool:
        if process.returncode is not None:
            return True
        async with cloud.catalog() as catalog, catalog.transaction() as connection:
            tables = ("replays", "rebuilt.replays")
            for table in tables:
                if await connection.fetchval("SELECT to_regclass($1)", table) is not None and (
                    await connection.fetchval(f"SELECT count(*) FROM {table}")
                ):
                    return True
        return False

    await wait_for(begun, within_s=60, every_s=0.01, what="the replay has begun")
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.communicate()


@pytest.mark.slow
async def test_with_live_workers(services: Services, tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:8]
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        env = quick(name) | {"VIGIL_DATABASE_URL": dsn}
        async with (
            Cloud(tmp_path, env, web=True) as cloud,
            make_object_store(cloud.settings) as store,
            make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
        ):
            camera = await registered(cloud, f"acme/{name}/gate")
            recorder = Recorder(camera, START_MS, entropy=os.urandom(10))
            for seq in range(FRAGMENTS):
                await recorder.record(store, queue, seq)
            await recorder.end(store, queue, FRAGMENTS - 1)
            await all_in_chunks(cloud, store, recorder)

            await killed(cloud, "catalog", "--schema", "rebuilt")
            assert '"unreadable": 0' in await ended(cloud, "catalog", "--schema", "rebuilt")
            assert await rows(dsn, "rebuilt") == await rows(dsn)
            assert '"changes": 0,' in await ended(cloud, "catalog")

            before = await _played(cloud, camera)
            assert len(before) == FRAGMENTS
            end_ms = START_MS + FRAGMENTS * recorder.duration_ms
            span = ("--from", format_ms(START_MS), "--to", format_ms(end_ms))
            await killed(cloud, "chunks", "--window", "20s", *span)
            assert await _played(cloud, camera) == before
            await ended(cloud, "chunks", "--window", "20s", *span)
            assert await _played(cloud, camera) == before
            lengths = {'"window_ms": 20000' in row for row in (await rows(dsn))["chunks"]}
            assert lengths == {True}
            assert '"unreadable": 0' in await ended(cloud, "catalog", "--schema", "later")
            assert await rows(dsn, "later") == await rows(dsn)


async def _played(cloud: Cloud, camera: str) -> list[tuple[str, bytes]]:
    """Return the time and the bytes of each segment that the API's playlist names."""
    async with cloud.catalog() as catalog:
        key = await create_key(catalog, "test", 0)
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{cloud.url}/api/v1/cameras/{camera}/playlist.m3u8"
    params = {"from": str(START_MS), "to": str(START_MS + 600_000)}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(url, params=params) as answer:
            text = await answer.text()
            assert answer.status == 200, text
        parts = parts_of(text, str(answer.url))
        return [(part.program_time, await download(session, part)) for part in parts]
