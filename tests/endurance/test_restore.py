"""Restore drills: the commands of docs/how-to/recover.md, in their order, on real servers.

catalog   PostgreSQL goes back to a time. What was deleted since then stays deleted
Kafka     all topics, offsets and tables are lost. No footage is
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.audit_verify import verify_export
from domain.times import utc_ms
from harness.archived_postgres import ArchivedPostgres
from local.process import Process
from local.program import vigil
from stores.audit_keys import create_key_file, read_key_file, read_public_keys, verified_head
from stores.catalog.audit_heads import HeadWriter, signed_heads
from stores.catalog.audit_log import export_lines
from stores.catalog.users import create_user
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.storage import make_object_store, make_queue
from tests.cloud import Cloud, quick
from tests.conftest import Services
from tests.outcome import all_in_chunks, in_catalog, registered
from tests.recorder import Recorder
from tests.waiting import wait_for

DAY_MS = 86_400_000
FRAGMENTS = 10
INSTALLATION = "*"


async def run_vigil(env: Mapping[str, str], *words: str, code: int | None = 0) -> str:
    """Run a command as an operator does; return what it printed. `code` None: any exit status."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *vigil(*words),
        env=dict(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    print(f"{time.monotonic() - started:6.1f} s  vigil {' '.join(words)}")
    assert code in (None, process.returncode), f"{words}\n{out.decode()}\n{err.decode()[-3000:]}"
    return out.decode()


async def stop(cloud: Cloud) -> None:
    """Stop all programs by SIGTERM."""
    processes: list[Process] = [program.process for program in cloud.programs.values()]
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        await asyncio.to_thread(process.stop)


async def start(cloud: Cloud) -> None:
    """Start all programs."""
    for name in cloud.programs:
        await asyncio.to_thread(cloud.start, name)


async def recorded(
    cloud: Cloud, store: ObjectStore, queue: Queue, recorder: Recorder, *, joined: bool = True
) -> Recorder:
    """Record a whole run, and wait until it is in chunks."""
    for seq in range(FRAGMENTS):
        await recorder.record(store, queue, seq)
    if joined:
        await recorder.end(store, queue, FRAGMENTS - 1)
        await all_in_chunks(cloud, store, recorder)
    return recorder


def start_of(ago_ms: int) -> int:
    """Return the start of a window so long ago."""
    return (utc_ms() - ago_ms) // 10_000 * 10_000


@asynccontextmanager
async def cloud_on(
    services: Services, folder: Path, name: str, **env: str
) -> AsyncIterator[tuple[Cloud, ObjectStore, Queue]]:
    """Run a cloud side, with a store and a queue to record to."""
    made = await asyncio.to_thread(Cloud, folder, services.env | quick(name) | env)
    async with (
        made as cloud,
        make_object_store(cloud.settings) as store,
        make_queue(cloud.settings, cloud.settings.sqs_queue_url) as queue,
    ):
        yield cloud, store, queue


@pytest.mark.slow
async def test_the_catalog_goes_back_in_time(services: Services, tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:8]
    kept, erased = f"kept-{name}", f"gone-{name}"
    server = await asyncio.to_thread(ArchivedPostgres, tmp_path / "postgres")
    await asyncio.to_thread(server.launch)
    await asyncio.to_thread(server.wait)
    signer = create_key_file(tmp_path / "audit.pem")
    try:
        async with cloud_on(services, tmp_path, name, **server.settings()) as (cloud, store, queue):
            await asyncio.to_thread(server.back_up)
            gate = await registered(cloud, f"{kept}/hq/gate")
            door = await registered(cloud, f"{erased}/hq/door")
            await run_vigil(cloud.env, "retention", "set", kept, "--days", "2")
            old = await recorded(cloud, store, queue, Recorder(gate, start_of(3 * DAY_MS)))
            await recorded(cloud, store, queue, Recorder(door, start_of(3_600_000)))
            bob = await _made_user(cloud, kept)
            await _sign(cloud, store, signer)
            target = await _now(cloud)

            # What the restored catalog does not know:
            await run_vigil(cloud.env, "retention", "enforce")
            new = await recorded(cloud, store, queue, Recorder(gate, start_of(60_000)))
            await run_vigil(cloud.env, "tenant", "erase", erased, "--confirm", erased)
            await run_vigil(cloud.env, "user", "erase", bob, "--confirm", bob)
            await _sign(cloud, store, signer)
            assert await in_catalog(cloud, gate) == {"waiting": 0, "chunked": FRAGMENTS}
            assert not [info async for info in store.list(f"chunks/{erased}/")]

            began = time.monotonic()
            await stop(cloud)
            await asyncio.to_thread(server.restore, target)
            print(f"{time.monotonic() - began:6.1f} s  PostgreSQL is back at {target}")
            assert await _users(cloud, bob) == 1
            assert (await in_catalog(cloud, door))["chunked"] == FRAGMENTS
            assert (await in_catalog(cloud, gate))["chunked"] == FRAGMENTS, "the old, not the new"

            await run_vigil(cloud.env, "catalog", "migrate")
            would = json.loads(await run_vigil(cloud.env, "catalog", "restored"))
            assert would["tenants_erased"] == [erased]
            assert await _users(cloud, bob) == 1, "it only says so"
            did = json.loads(await run_vigil(cloud.env, "catalog", "restored", "--confirm"))
            assert (did["users_erased"], did["tenants_erased"]) == ([bob], [erased])
            assert {kept, erased, INSTALLATION} & set(did["forks"])
            await run_vigil(cloud.env, "replay", "catalog")
            again = json.loads(await run_vigil(cloud.env, "catalog", "restored", "--confirm"))
            assert not again["tenants_erased"], "Kafka brought nothing of it back"
            assert not again["users_erased"]
            assert not again["forks"], "they are explained"
            await start(cloud)
            await run_vigil(cloud.env, "reconcile")
            fsck = await run_vigil(cloud.env, "fsck", "--camera", gate, "--margin", "1s", "--json")
            print(f"{time.monotonic() - began:6.1f} s  everything is back; {fsck.splitlines()[-1]}")

            rows = await in_catalog(cloud, gate)
            assert rows == {"waiting": 0, "chunked": FRAGMENTS}, "the new run, and not the old"
            assert await _runs(cloud, gate) == {new.run}
            assert old.run != new.run
            assert await in_catalog(cloud, door) == {"waiting": 0, "chunked": 0}
            assert await _users(cloud, bob) == 0
            # The log goes on, is signed again, and says what is lost.
            await _sign(cloud, store, signer)
            await _verify(cloud, store, tmp_path, kept, set(did["forks"]))
    finally:
        await asyncio.to_thread(server.close)


async def _made_user(cloud: Cloud, tenant: str) -> str:
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        return await create_user(
            connection, login=f"bob-{tenant}", display_name="Bob", scope=tenant,
            now_ms=utc_ms() - 60_000, grants=[],
        )  # fmt: skip


async def _now(cloud: Cloud) -> str:
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        found = await connection.fetchval("SELECT clock_timestamp()::text")
    await asyncio.sleep(0.1)  # what follows is later than this
    return str(found)


async def _users(cloud: Cloud, user: str) -> int:
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", user))


async def _runs(cloud: Cloud, camera: str) -> set[str]:
    async with cloud.catalog() as catalog, catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT DISTINCT run::text AS run FROM chunks WHERE camera = $1", camera
        )
    return {row["run"] for row in rows}


async def _sign(cloud: Cloud, store: ObjectStore, signer: Any) -> None:
    async with cloud.catalog() as catalog:
        stats = await HeadWriter(catalog, store, signer, 30).sign_due(utc_ms())
    assert stats.signed
    assert not stats.broken


async def _verify(
    cloud: Cloud, store: ObjectStore, folder: Path, tenant: str, forks: set[str]
) -> None:
    pem = folder / "public.pem"
    pem.write_bytes(read_key_file(folder / "audit.pem").public_pem)
    public = read_public_keys([pem])
    for chain in {tenant, *forks}:
        heads = [
            verified_head(json.loads(text), public) async for text in signed_heads(store, chain)
        ]
        async with cloud.catalog() as catalog:
            lines = [line async for line in export_lines(catalog, chain)]
        report = verify_export(lines, heads)
        assert report.findings == (), chain
        assert bool(report.notes) == (chain in forks)
        if report.notes:
            print(report.notes[0])
            assert report.newest_head is not None


@pytest.mark.slow
async def test_kafka_is_lost_whole(services: Services, tmp_path: Path) -> None:
    """Other names of topics and groups are an empty broker, as far as programs can see."""
    name = uuid.uuid4().hex[:8]
    async with cloud_on(services, tmp_path, name) as (cloud, store, queue):
        camera = await registered(cloud, f"acme/{name}/gate")
        other = await registered(cloud, f"acme/{name}/other")
        await recorded(cloud, store, queue, Recorder(other, start_of(600_000)))
        open_run = Recorder(camera, start_of(30_000))
        await recorded(cloud, store, queue, open_run, joined=False)
        silent = await registered(cloud, f"acme/{name}/silent")
        await recorded(cloud, store, queue, Recorder(silent, start_of(30_000)), joined=False)
        await wait_for(lambda: _has_fragments(cloud, camera), within_s=30, what="windows are open")
        await stop(cloud)
        # While there is no broker, devices go on: footage to S3, notices to SQS, or neither.
        await open_run.record(store, queue, FRAGMENTS)
        await open_run.put(store, FRAGMENTS + 1)
        fresh = f"{name}b"
        began = time.monotonic()
        for setting, value in quick(fresh).items():
            cloud.env[setting] = value
            for program in cloud.programs.values():
                program.set_env(setting, value)
        await run_vigil(cloud.env, "topics", "ensure")
        await start(cloud)
        await run_vigil(cloud.env, "camera", "windows", "--all")
        await run_vigil(cloud.env, "reconcile", "--margin", "1s")
        await open_run.end(store, queue, FRAGMENTS + 1)
        await all_in_chunks(cloud, store, open_run, within_s=90)
        rows = await in_catalog(cloud, camera)
        assert rows == {"waiting": 0, "chunked": len(open_run.sent)}
        # A device that is off sends nothing that would have its windows made again.
        await wait_for(lambda: repaired(cloud, silent), within_s=200, what="fsck repaired it")
        assert await in_catalog(cloud, silent) == {"waiting": 0, "chunked": FRAGMENTS}
        print(f"{time.monotonic() - began:6.1f} s  all footage is in chunks")
        await run_vigil(cloud.env, "fsck", "--camera", camera, "--margin", "1s")


async def repaired(cloud: Cloud, camera: str) -> bool:
    words = ("fsck", "--repair", "--camera", camera, "--margin", "1s")
    print((await run_vigil(cloud.env, *words, code=None))[-300:])
    return (await in_catalog(cloud, camera))["waiting"] == 0


async def _has_fragments(cloud: Cloud, *cameras: str) -> bool:
    return all([(await in_catalog(cloud, camera))["waiting"] > 0 for camera in cameras])
