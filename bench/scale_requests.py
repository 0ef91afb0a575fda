"""Requests, rows and bytes for each camera-hour: are they the same at 10 and at 1,000 cameras?

    simulated cameras ──► S3 ◄── counted ──┐
                    └───► SQS ◄─ counted ── relay ──► Kafka ──► assembler, healer, joiner, indexer
                                                        └ read and counted    └──► PostgreSQL

All is counted, nothing is timed. An hour is of media: the cameras may send faster than real time.
What a device sends is the simulation's: one PUT and one request to SQS for each fragment. The
acceptance test of costs has a real device.
"""

import argparse
import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, TopicPartition

from domain.errors import VigilError
from domain.events import Detection, RunEnded, RunStarted, encode, parse
from domain.events.detections import DetectionFrame, FoundObject
from domain.identity import fragment_key, new_run_id, parse_fragment_key, run_end_key
from domain.times import utc_ms
from harness import lag
from harness.counting_gate import CountingGate, S3Request
from harness.environment import environment, own_services, say
from harness.footage import film
from harness.workers import Workers
from stores.catalog import Catalog, add_camera, migrate
from stores.objects import ObjectStore
from stores.queue import Queue
from streams.settings import Settings
from streams.storage import make_object_store, make_queue
from streams.topic_admin import ensure
from streams.topics import TOPICS, changelog

FRAGMENT_MS, WINDOW_MS = 10_000, 30_000
EACH = WINDOW_MS // FRAGMENT_MS
"""Fragments of a window."""
SENDERS = 24
WITHIN_S = 600.0
FLAT = 0.03
WORKERS = {"assemble": 1, "heal": 1, "join": 1, "index": 1}
STATS_S = 2.0
"""PostgreSQL's processes report what they wrote so late."""
_ROWS = """
    SELECT regexp_replace(relname, '_[0-9_]+$', '') AS name,
           sum(n_tup_ins)::bigint AS inserted, sum(n_tup_upd)::bigint AS updated,
           sum(n_tup_del)::bigint AS deleted
    FROM pg_stat_user_tables GROUP BY 1"""
FOOTAGE_TABLES = ("fragments", "chunks", "runs", "detections")
BY_TIME = {
    "sqs receive": "a request takes what waits, up to ten messages; one is open all the time",
    "sqs delete": "one request for what was received together",
    "table writes": "several events of a camera within a commit are one write",
    "table bytes": "as table writes",
    "kafka tick records": "for each partition and second, not for a camera",
}
"""What follows from the time, not from the footage, and why it need not be flat."""


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Count for each number of cameras; the last line compares them."""
    found = []
    for number, cameras in enumerate(arguments.request_cameras):
        names = {
            "VIGIL_TOPIC_PREFIX": f"requests{number}-",
            "VIGIL_APP_PREFIX": f"requests{number}",
            "VIGIL_WINDOW_MS": str(WINDOW_MS),
            "VIGIL_PARTITIONS": "8",
        }
        with own_services("requests") as (_, scratch), environment(names):
            fleet = _CountedFleet(
                scratch, cameras, arguments.request_windows, arguments.request_speed
            )
            found.append(asyncio.run(fleet.run()))
            say(f"{cameras} cameras: {found[-1]}")
    return [*found, compared(found)]


def compared(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how far the rates of the cases are apart: the greatest to the least, less one."""
    spreads: dict[str, float] = {}
    for name in sorted({name for each in found for name in each["per_camera_hour"]}):
        values = [each["per_camera_hour"].get(name, 0.0) for each in found]
        spreads[name] = round(max(values) / min(values) - 1, 3) if min(values) else float("inf")
    return {
        "compared_cameras": [each["cameras"] for each in found],
        "greatest_spread": max(
            (spread for name, spread in spreads.items() if name not in BY_TIME), default=0.0
        ),
        "not_flat": {
            name: {"spread": spread, "because": BY_TIME.get(name, "not known")}
            for name, spread in spreads.items()
            if spread > FLAT
        },
    }


@dataclass
class _SimulatedRun:
    """One camera and its run."""

    camera: str
    run: str
    start_ms: int


class _CountedFleet:
    """So many cameras, each with one whole run."""

    def __init__(self, folder: Path, cameras: int, windows: int, speed: float) -> None:
        self._folder = folder
        self._speed = speed
        self._fragments = windows * EACH
        start_ms = (utc_ms() - 3_600_000) // WINDOW_MS * WINDOW_MS
        self._cameras = [
            _SimulatedRun(
                f"bench/site-{number // 10:03}/cam-{number:04}",
                new_run_id(start_ms, number.to_bytes(10, "big")),
                start_ms,
            )
            for number in range(cameras)
        ]
        self._sent: Counter[str] = Counter()

    async def run(self) -> dict[str, Any]:
        """Record, wait until all is in chunks, and count."""
        settings = Settings()
        table = changelog(f"{settings.app_prefix}-assemble", "open-windows")
        await ensure([*TOPICS, table], settings=settings)
        database = settings.database_url.get_secret_value()
        await migrate(database)
        env = os.environ
        began_s = time.monotonic()
        async with (
            CountingGate(
                env["VIGIL_S3_ENDPOINT"], env["VIGIL_SQS_ENDPOINT"], env["VIGIL_S3_BUCKET"]
            ) as gate,
            Catalog(database) as catalog,
            make_object_store(settings) as store,
            make_queue(settings, settings.sqs_queue_url) as queue,
        ):
            for each in self._cameras:
                await add_camera(catalog, each.camera, each.camera, 0, unsigned="accept")
            before = await _row_counts(catalog)
            async with Workers(self._folder, self._through(gate), WORKERS):
                await self._record(store, queue)
                say(f"{len(self._cameras)} cameras are recorded; waiting for their chunks")
                await self._all_in_chunks(catalog, settings)
                await asyncio.sleep(STATS_S)
            rows = await _row_counts(catalog) - before
            counted = self._sent + _requests(gate) + rows
            counted += await _records(settings, table.name)
        hours = len(self._cameras) * self._fragments * FRAGMENT_MS / 3_600_000
        return {
            "cameras": len(self._cameras),
            "camera_hours": round(hours, 2),
            "media_s_per_s": self._speed,
            "took_s": round(time.monotonic() - began_s),
            "load": round(os.getloadavg()[0], 1),
            "per_camera_hour": {
                name: round(count / hours, 2) for name, count in sorted(counted.items())
            },
        }

    def _through(self, gate: CountingGate) -> dict[str, str]:
        queues = {
            name: gate.url + urlsplit(os.environ[name]).path
            for name in ("VIGIL_SQS_QUEUE_URL", "VIGIL_SQS_DEAD_LETTER_URL")
            if name in os.environ
        }
        return {"VIGIL_S3_ENDPOINT": gate.url, "VIGIL_SQS_ENDPOINT": gate.url, **queues}

    # -- recording

    async def _record(self, store: ObjectStore, queue: Queue) -> None:
        """Record all runs. Each camera has its own place in the time of a fragment."""
        free = asyncio.Semaphore(SENDERS)
        step_s = FRAGMENT_MS / 1_000 / self._speed / len(self._cameras)
        due_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for seq in range(-1, self._fragments + 1):
                for each in self._cameras:
                    await free.acquire()
                    task = group.create_task(self._step(each, seq, store, queue))
                    task.add_done_callback(lambda _: free.release())
                    due_s += step_s
                    await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _step(self, each: _SimulatedRun, seq: int, store: ObjectStore, queue: Queue) -> None:
        """Start the run (-1), send a fragment, or end the run."""
        end_ms = each.start_ms + self._fragments * FRAGMENT_MS
        if seq == -1:
            started = RunStarted(
                camera=each.camera, run=each.run, started_ms=each.start_ms, edge="edge-1"
            )
            await self._send(queue, [encode(started)])
        elif seq == self._fragments:
            body = encode(
                RunEnded(
                    camera=each.camera, run=each.run, ended_ms=end_ms, last_seq=seq - 1,
                    reason="the device stopped",
                )
            )  # fmt: skip
            await self._put(store, run_end_key(each.camera, each.run), body, {}, "run's end")
            await self._send(queue, [body])
        else:
            event, data = film(
                each.camera, each.run, seq,
                start_ms=each.start_ms + seq * FRAGMENT_MS, duration_ms=FRAGMENT_MS,
            )  # fmt: skip
            key = fragment_key(each.camera, each.run, seq)
            await self._put(store, key, data, event.metadata(), "fragment")
            found = FoundObject(label="person", score=0.9, box=(0.1, 0.1, 0.2, 0.2), track=None)
            frame = DetectionFrame(pts=event.start_pts, at_ms=event.start_ms, objects=[found])
            seen = Detection(
                camera=each.camera, run=each.run, model="bench", model_version="1", frames=[frame]
            )
            await self._send(queue, [encode(event), encode(seen)])

    async def _put(
        self, store: ObjectStore, key: str, data: bytes, metadata: dict[str, str], what: str
    ) -> None:
        sha256 = hashlib.sha256(data).hexdigest()
        await store.put_once(key, data, sha256=sha256, metadata=metadata)
        self._sent[f"s3 PUT device: {what}"] += 1

    async def _send(self, queue: Queue, bodies: list[bytes]) -> None:
        if failed := await queue.send(bodies):
            raise VigilError(f"SQS refused a message: {failed[0]}")
        self._sent["sqs send"] += 1
        self._sent["sqs messages"] += len(bodies)

    async def _all_in_chunks(self, catalog: Catalog, settings: Settings) -> None:
        """Return once each fragment is in a chunk, and nothing waits."""
        wanted = (len(self._cameras) * self._fragments // EACH, 0)
        deadline_s = time.monotonic() + WITHIN_S
        while (found := await _chunks(catalog)) != wanted or any(
            (await lag.lags(settings, await _ends(settings))).values()
        ):
            if time.monotonic() > deadline_s:
                raise VigilError(f"chunks and waiting fragments: {found}, wanted: {wanted}")
            await asyncio.sleep(1)


async def _ends(settings: Settings) -> lag.Ends:
    return await lag.ends(settings, {spec for specs in lag.READS.values() for spec in specs})


async def _chunks(catalog: Catalog) -> tuple[int, int]:
    async with catalog.transaction() as connection:
        chunks = await connection.fetchval("SELECT count(*) FROM chunks")
        waiting = await connection.fetchval("SELECT count(*) FROM fragments")
    return int(chunks), int(waiting)


async def _row_counts(catalog: Catalog) -> Counter[str]:
    async with catalog.transaction() as connection:
        found = await connection.fetch(_ROWS)
    return Counter(
        {
            f"rows {row['name']} {what}": int(row[what])
            for row in found
            if row["name"] in FOOTAGE_TABLES
            for what in ("inserted", "updated", "deleted")
            if row[what]
        }
    )


def _requests(gate: CountingGate) -> Counter[str]:
    """Return the workers' requests, by what they are for."""
    found: Counter[str] = Counter(f"s3 {each.method} {_purpose(each)}" for each in gate.s3)
    found["s3 failed"] = sum(each.status >= 300 and each.status != 304 for each in gate.s3)
    names = {"ReceiveMessage": "sqs receive", "DeleteMessageBatch": "sqs delete"}
    found.update(names.get(each.action, f"sqs {each.action}") for each in gate.sqs)
    found["s3 PUT bytes"] = sum(each.body_bytes for each in gate.s3 if each.method == "PUT")
    return found


def _purpose(request: S3Request) -> str:
    if request.prefix is not None:
        return "list"
    if parse_fragment_key(request.key) is not None:
        return "fragment"
    if request.key.endswith("/end.json"):
        return "run's end"
    return {"ts": "chunk", "json": "manifest"}.get(request.key.rpartition(".")[2], "other")


async def _records(settings: Settings, table: str) -> Counter[str]:
    """Return records in Kafka and their bytes: key, value and headers, before replication."""
    found: Counter[str] = Counter()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_brokers, auto_offset_reset="earliest"
    )
    names = [*(topic.name_for(settings) for topic in TOPICS), table]
    tps = [TopicPartition(name, at) for name in names for at in range(settings.partitions)]
    async with consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    size = len(record.key or b"") + len(record.value or b"")
                    size += sum(len(name) + len(value) for name, value in record.headers)
                    if record.topic == table:
                        found["table writes"] += 1
                        found["table bytes"] += size
                        continue
                    kind = parse(record.value).type
                    found[f"kafka {kind} records"] += 1
                    if kind != "tick":
                        found[f"kafka {kind} bytes"] += size
    return found
