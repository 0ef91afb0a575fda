"""How long until playback answers right again after a loss? One line for each loss.

postgres   PostgreSQL goes back to a time before the last footage
kafka      Kafka loses all topics, offsets and tables, while a camera records
objects    half of the chunks in S3 are deleted, the others overwritten, and no fragment exists

The commands are those of docs/how-to/recover.md. Time begins with the first of them. Right means:
the API's playlist of all that was recorded gives the recorded bytes.
"""

import argparse
import asyncio
import hashlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp

from domain.errors import VigilError
from domain.events import RunEnded, encode
from domain.identity import fragment_key, new_run_id, run_end_key
from domain.times import utc_ms
from harness.archived_postgres import ArchivedPostgres
from harness.environment import SHORT_WINDOWS, environment, own_services, say
from harness.footage import film
from harness.workers import Workers
from local.folder import DataFolder
from local.ports import HOST, find_free
from local.program import Program, vigil, worker
from local.stack import Stack
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.keys import create_key
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.settings import Settings
from streams.storage import make_object_store, make_queue
from streams.topic_admin import ensure
from streams.topics import TOPICS

COUNTS = {"assemble": 1, "heal": 1, "join": 1, "index": 1}
FRAGMENT_MS = 2_000
FRAGMENTS = 20
WITHIN_S = 300.0
MARGIN = ("--margin", "1s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--loss", action="append", choices=list(LOSSES), help="only this loss (repeatable)"
    )


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the drills; return a line for each."""
    found = []
    for loss in arguments.loss or LOSSES:
        own = SHORT_WINDOWS | {"VIGIL_PARTITIONS": "2", "VIGIL_SESSION_TIMEOUT_S": "6"}
        with own_services("restore") as (stack, scratch), environment(own):
            steps = asyncio.run(LOSSES[loss](stack, scratch))
            found.append({"loss": loss, **steps, "load": round(os.getloadavg()[0], 1)})
            say(f"{found[-1]}")
    return found


class _RecordedRun:
    """One run of one camera, and its bytes."""

    def __init__(self, camera: str, ago_ms: int, store: ObjectStore, queue: Queue) -> None:
        self.camera = camera
        self.start_ms = (utc_ms() - ago_ms) // 10_000 * 10_000
        self.run = new_run_id(self.start_ms, os.urandom(10))
        self.data: list[bytes] = []
        self._store, self._queue = store, queue

    async def record(self, count: int) -> None:
        """Put so many fragments into S3, and their notices into SQS."""
        for _ in range(count):
            seq = len(self.data)
            event, data = film(
                self.camera, self.run, seq,
                start_ms=self.start_ms + seq * FRAGMENT_MS, duration_ms=FRAGMENT_MS,
            )  # fmt: skip
            key = fragment_key(self.camera, self.run, seq)
            await self._store.put_once(key, data, sha256=event.sha256, metadata=event.metadata())
            await self._queue.send([encode(event)])
            self.data.append(data)

    async def end(self) -> None:
        """End the run."""
        body = encode(
            RunEnded(
                camera=self.camera, run=self.run, last_seq=len(self.data) - 1,
                ended_ms=self.start_ms + len(self.data) * FRAGMENT_MS, reason="camera closed",
            )
        )  # fmt: skip
        sha256 = hashlib.sha256(body).hexdigest()
        key = run_end_key(self.camera, self.run)
        await self._store.put_once(key, body, sha256=sha256, metadata={})
        await self._queue.send([body])


class _Installation:
    """The cloud side with its web, and a person who plays."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self._folder = folder
        self._port = find_free()
        self._key = ""
        self.camera = "bench/site/gate"

    def catalog(self) -> Catalog:
        """Return the catalog, not yet opened."""
        return Catalog(self.settings.database_url.get_secret_value())

    async def prepare(self) -> None:
        """Make topics, tables, the camera, and the person's key."""
        await migrate(self.settings.database_url.get_secret_value())
        await ensure(TOPICS, settings=self.settings)
        async with self.catalog() as catalog:
            await add_camera(catalog, self.camera, self.camera, 0, unsigned="accept")
            self._key = await create_key(catalog, "bench", 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run all programs."""
        folder = DataFolder(self._folder / "web")
        folder.open(fresh=False)
        own = {"VIGIL_WEB_HOST": HOST, "VIGIL_WEB_PORT": str(self._port)}
        web = Program("web", worker("web.app"), folder, {**os.environ, **own})
        await asyncio.to_thread(web.launch)
        try:
            async with Workers(self._folder, {}, COUNTS):
                yield
        finally:
            await asyncio.to_thread(web.process.stop)
            folder.close()

    async def plays(self, *recordings: _RecordedRun) -> bool:
        """Say whether the API gives the bytes of all that was recorded."""
        try:
            return all([await self._bytes(one) == b"".join(one.data) for one in recordings])
        except aiohttp.ClientError:
            return False

    async def _bytes(self, one: _RecordedRun) -> bytes:
        url = f"http://{HOST}:{self._port}/api/v1/cameras/{one.camera}/playlist.m3u8"
        query = {
            "from": str(one.start_ms),
            "to": str(one.start_ms + len(one.data) * FRAGMENT_MS),
        }
        found = b""
        headers = {"Authorization": f"Bearer {self._key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(url, params=query) as answer:
                text = await answer.text()
            span: dict[str, str] = {}
            for line in text.splitlines():
                if line.startswith("#EXT-X-BYTERANGE:"):
                    size, first = map(int, line.split(":")[1].split("@"))
                    span = {"Range": f"bytes={first}-{first + size - 1}"}
                elif line and not line.startswith("#"):
                    async with session.get(urljoin(url, line), headers=span) as part:
                        found += await part.read() if part.status in (200, 206) else b""
                    span = {}
        return found

    async def until(self, ready: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until something is so; VigilError if it takes too long."""
        deadline_s = time.monotonic() + WITHIN_S
        while not await ready():
            if time.monotonic() > deadline_s:
                raise VigilError(f"Not within {WITHIN_S:.0f} s: {what}.")
            await asyncio.sleep(0.5)

    async def joined(self, one: _RecordedRun) -> None:
        """Wait until a recording is in chunks, and can be played."""

        async def ready() -> bool:
            async with self.catalog() as catalog, catalog.transaction() as connection:
                count = await connection.fetchval(
                    "SELECT coalesce(sum(jsonb_array_length(fragments)), 0) FROM chunks "
                    "WHERE run::text = $1", one.run,
                )  # fmt: skip
            return bool(count == len(one.data)) and await self.plays(one)

        await self.until(ready, "the footage is in chunks")


class _Clock:
    """Seconds since the loss, by step."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self.steps: dict[str, float] = {}

    def note(self, step: str) -> None:
        """A step is done."""
        self.steps[f"{step}_s"] = round(time.monotonic() - self._began_s, 1)


async def _command(*words: str) -> int:
    """Run a vigil command; return its exit status."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *vigil(*words), stdout=asyncio.subprocess.DEVNULL
    )
    return await process.wait()


@asynccontextmanager
async def _opened(
    folder: Path, more: Mapping[str, str]
) -> AsyncIterator[tuple[_Installation, ObjectStore, Queue]]:
    with environment(more):
        settings = Settings()
        installation = _Installation(folder, settings)
        async with (
            make_object_store(settings) as store,
            make_queue(settings, settings.sqs_queue_url) as queue,
        ):
            yield installation, store, queue


async def _postgres(_stack: Stack, folder: Path) -> dict[str, Any]:
    server = await asyncio.to_thread(ArchivedPostgres, folder / "postgres")
    await asyncio.to_thread(server.launch)
    await asyncio.to_thread(server.wait)
    try:
        async with _opened(folder, server.settings()) as (installation, store, queue):
            await asyncio.to_thread(server.back_up)
            await installation.prepare()
            old = _RecordedRun(installation.camera, 7_200_000, store, queue)
            new = _RecordedRun(installation.camera, 600_000, store, queue)
            async with installation.running():
                await old.record(FRAGMENTS)
                await old.end()
                await installation.joined(old)
                async with installation.catalog() as catalog, catalog.transaction() as connection:
                    target = str(await connection.fetchval("SELECT clock_timestamp()::text"))
                await new.record(FRAGMENTS)
                await new.end()
                await installation.joined(new)
            clock = _Clock()
            await asyncio.to_thread(server.restore, target)
            clock.note("postgres_back")
            for words in (
                ("catalog", "migrate"),
                ("catalog", "restored", "--confirm"),
                ("replay", "catalog"),
            ):
                if await _command(*words):
                    raise VigilError(f"vigil {' '.join(words)} failed; see its messages above.")
            clock.note("commands_done")
            async with installation.running():
                await installation.until(lambda: installation.plays(old, new), "playback")
                clock.note("playback_right")
            return clock.steps
    finally:
        await asyncio.to_thread(server.close)


async def _kafka(stack: Stack, folder: Path) -> dict[str, Any]:
    async with _opened(folder, {}) as (installation, store, queue):
        await installation.prepare()
        old = _RecordedRun(installation.camera, 7_200_000, store, queue)
        new = _RecordedRun(installation.camera, 600_000, store, queue)
        async with installation.running():
            await old.record(FRAGMENTS)
            await old.end()
            await installation.joined(old)
            await new.record(FRAGMENTS // 2)
            await installation.until(lambda: installation.plays(new), "live footage")
        clock = _Clock()
        await asyncio.to_thread(stack.kill, "kafka")
        await asyncio.to_thread(shutil.rmtree, stack.services["kafka"].home / "log")
        await new.record(FRAGMENTS // 2)
        await asyncio.to_thread(stack.restart, "kafka")
        clock.note("kafka_back")
        await _command("topics", "ensure")
        async with installation.running():
            await _command("camera", "windows", "--all")
            await _command("reconcile", *MARGIN)
            await installation.until(lambda: installation.plays(old, new), "playback")
            clock.note("playback_right")
            await new.end()

            async def repaired() -> bool:
                return await _command("fsck", "--repair", "--bytes", *MARGIN) == 0

            await installation.until(repaired, "fsck finds nothing more")
            await installation.joined(new)
            clock.note("all_in_chunks")
        return clock.steps


async def _objects(_stack: Stack, folder: Path) -> dict[str, Any]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - only this part needs it

    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        s3 = {"VIGIL_S3_ENDPOINT": f"http://{host}:{port}"}
        async with _opened(folder, s3) as (installation, store, queue):
            where = {"LocationConstraint": installation.settings.aws_region}
            client, bucket = store._client, store.bucket
            await client.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
            await client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
            await installation.prepare()
            one = _RecordedRun(installation.camera, 7_200_000, store, queue)
            async with installation.running():
                await one.record(FRAGMENTS)
                await one.end()
                await installation.joined(one)
                await store.delete(
                    [fragment_key(one.camera, one.run, seq) for seq in range(FRAGMENTS)]
                )
                keys = [info.key async for info in store.list("chunks/")]
                for number, key in enumerate(key for key in keys if key.endswith(".ts")):
                    if number % 2:
                        await client.put_object(Bucket=bucket, Key=key, Body=b"other bytes")
                    else:
                        await client.delete_object(Bucket=bucket, Key=key)
                if await installation.plays(one):
                    raise VigilError("The lost objects were played: the bench is wrong.")
                clock = _Clock()
                await _command("fsck", "--bytes", *MARGIN)
                clock.note("found")
                await _bring_back(client, bucket, [key for key in keys if key.endswith(".ts")])
                await installation.until(lambda: installation.plays(one), "playback")
                clock.note("playback_right")
            return clock.steps
    finally:
        server.stop()


async def _bring_back(client: Any, bucket: str, keys: list[str]) -> None:
    for key in keys:
        listed = await client.list_object_versions(Bucket=bucket, Prefix=key)
        if markers := listed.get("DeleteMarkers"):
            await client.delete_object(Bucket=bucket, Key=key, VersionId=markers[0]["VersionId"])
        else:
            older = next(each for each in listed["Versions"] if not each["IsLatest"])
            source = {"Bucket": bucket, "Key": key, "VersionId": older["VersionId"]}
            await client.copy_object(
                Bucket=bucket, Key=key, CopySource=source, MetadataDirective="COPY"
            )


LOSSES: dict[str, Callable[[Stack, Path], Coroutine[Any, Any, dict[str, Any]]]] = {
    "postgres": _postgres,
    "kafka": _kafka,
    "objects": _objects,
}
