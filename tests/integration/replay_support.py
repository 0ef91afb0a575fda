"""A small cloud with all its events in Kafka, and the rows of its catalog."""

import argparse
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from agents.indexing.row_writers import row_writer_for
from agents.replay import retry
from agents.retention.retention_pass import RetentionPass
from cli import replay
from domain.events import (
    ChunkComplete,
    Event,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
    encode,
)
from stores.catalog import Catalog, add_camera, migrate
from streams import topics
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.storage import make_object_store
from streams.topic_admin import admin, ensure
from tests.integration.catalog_support import fresh_database
from tests.integration.consistency_support import START_MS, WINDOW_MS, Place, now_ms
from tests.integration.retention_support import MARGINS, SOON_MS
from tests.recorder import Recorder

TABLES = (
    *(
        "tenants",
        "sites",
        "cameras",
        "api_keys",
        "api_key_grants",
        "retention_rules",
        "legal_holds",
        "deletions",
    ),
    *("footage", "runs", "fragments", "chunks", "detections", "detection_minutes", "edges"),
    "tombstones",
)
OWN = frozenset({"indexed_ms", "heard_ms"})
"""When a row was written: the catalog's own."""


@dataclass
class RecordingSender:
    """Sends to Kafka, and keeps what was sent."""

    sender: KafkaSender
    events: list[Event] = field(default_factory=list)

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        self.events.append(event)
        return await self.sender.send(event, partition=partition)


@dataclass
class Stage(Place):
    """One camera whose events are sent to Kafka and indexed, as the indexer does."""

    dsn: str = ""

    async def second(self) -> "Stage":
        """Return another camera of the same cloud."""
        camera = self.camera.replace("/gate", "/door")
        await add_camera(self.catalog, camera, "Door", 0)
        return replace(self, camera=camera)

    async def enforce(self, later_ms: int = SOON_MS) -> None:
        """Let retention do one pass over the camera."""
        sends: Any = self.sent
        clock = lambda: now_ms() + later_ms  # noqa: E731
        pass_ = RetentionPass(self.store, self.catalog, sends, MARGINS, clock)
        await pass_.run([self.camera])

    async def say(self, *events: Event) -> None:
        for event in events:
            await self.sent.send(event)
            kind = row_writer_for(event, now_ms())  # type: ignore[arg-type]
            assert kind is not None
            await kind.write(self.catalog, [event], now_ms())

    async def announce(self, *events: FragmentArrived) -> None:
        await self.say(*events)

    async def join(self, recorder: Recorder, seqs: Any, **more: Any) -> ChunkComplete:
        chunk = await super().join(recorder, seqs, **{**more, "indexed": False})
        await self.say(chunk)
        return chunk

    async def record(self, number: int = 0, start_ms: int = START_MS) -> Recorder:
        """Record a run of 17: three chunks, one of them in two revisions, two loose fragments."""
        recorder = self.recorder(number, start_ms)
        begun = RunStarted(camera=self.camera, run=recorder.run, started_ms=start_ms, edge="edge-1")
        await self.say(begun)
        for seq in range(17):
            await self.announce(await recorder.put(self.store, seq))
        for seqs in ([0, 1, 2, 3, 4], [5, 6, 8, 9], [10, 11, 12, 13, 14], [7]):
            await self.join(recorder, seqs)
        return recorder

    async def end(self, recorder: Recorder) -> RunEnded:
        """Let the run end: end.json, and the event."""
        queue = _Queue()
        await recorder.end(self.store, queue, 16)  # type: ignore[arg-type]
        await self.say(queue.event)
        return queue.event

    async def cut(self, *specs: topics.TopicSpec, keep: int = 0) -> None:
        """Let retention remove all of these topics but the last `keep` records."""
        async with admin(self.settings, 30) as client:
            for spec in specs:
                name = spec.name_for(self.settings)
                for partition in range(self.settings.partitions):
                    place = TopicPartition(name, partition)
                    end = await self._end(place)
                    before = max(0, end - keep)
                    await client.delete_records({place: RecordsToDelete(before_offset=before)})

    async def _end(self, place: TopicPartition) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_brokers)
        await consumer.start()
        try:
            return int((await consumer.end_offsets([place]))[place])
        finally:
            await consumer.stop()


@dataclass
class _Queue:
    """A fake of SQS: keeps the one event."""

    event: RunEnded = None  # type: ignore[assignment]

    async def send(
        self, messages: list[bytes], signatures: Sequence[str | None] | None = None
    ) -> list[bytes]:
        assert not any(signatures or ()), "these recorders are not enrolled"
        self.event = RunEnded.model_validate_json(messages[0])
        assert encode(self.event) == messages[0]
        return []


def heartbeat(camera: str, sent_ms: int) -> Heartbeat:
    return Heartbeat.model_validate(
        {
            "type": "heartbeat",
            "site": camera.rsplit("/", 1)[0],
            "edge": "edge-1",
            "sent_ms": sent_ms,
            "software": "1.0",
            "spool_bytes": 0,
            "spool_waiting": 0,
            "disk_free_bytes": 1,
            "cameras": [],
        }
    )


@asynccontextmanager
async def stage(monkeypatch: Any, partitions: int = 2) -> AsyncIterator[Stage]:
    """Make topics, a catalog and a camera of their own; the environment points at them."""
    name = uuid.uuid4().hex[:8]
    async with fresh_database(get_settings().database_url.get_secret_value()) as dsn:
        monkeypatch.setattr(retry, "RETRY_FOR_S", 1.0)
        monkeypatch.setenv("VIGIL_DATABASE_URL", dsn)
        monkeypatch.setenv("VIGIL_TOPIC_PREFIX", f"r{name}-")
        monkeypatch.setenv("VIGIL_PARTITIONS", str(partitions))
        monkeypatch.setenv("VIGIL_WINDOW_MS", str(WINDOW_MS))
        get_settings.cache_clear()
        settings: Settings = get_settings()
        try:
            await migrate(dsn)
            await ensure(topics.TOPICS, settings=settings)
            camera = f"acme/{name}/gate"
            async with (
                Catalog(dsn) as catalog,
                make_object_store(settings) as store,
                KafkaSender(settings) as sender,
            ):
                await add_camera(catalog, camera, "Gate", 0)
                yield Stage(store, catalog, camera, settings, RecordingSender(sender), dsn)  # type: ignore[arg-type]
        finally:
            monkeypatch.undo()
            get_settings.cache_clear()


def arguments(*given: str) -> argparse.Namespace:
    """Return what `vigil replay` makes of its arguments."""
    parser = argparse.ArgumentParser()
    replay.add(parser.add_subparsers())
    return parser.parse_args(["replay", *given])


async def rows(dsn: str, schema: str | None = None) -> dict[str, list[str]]:
    """Return all rows of all tables that matter, without the catalog's own times and numbers."""
    found = {}
    async with Catalog(dsn, schema=schema) as catalog, catalog.transaction() as connection:
        for table in TABLES:
            texts = []
            for row in await connection.fetch(f"SELECT to_jsonb(t) AS row FROM {table} AS t"):
                fields = {key: value for key, value in row["row"].items() if key not in OWN}
                if table == "tombstones":
                    fields.pop("id")
                texts.append(json.dumps(fields, sort_keys=True))
            found[table] = sorted(texts)
    return found
