"""Rebuilds a catalog from Kafka, and from S3's objects where Kafka has deleted events.

    decisions    of people, tombstones, pending deletions: from the catalog in use, if another
    tombstones   the topic `deleted`, always whole, so that nothing deleted comes back later
    S3           only if Kafka has deleted events: manifests, then fragments and run ends without
                 a chunk
    Kafka        chunks, then fragments, runs, detections, heartbeats, up to the end at the start
    again        tombstones and decisions that were added during the replay

Every step writes rows as the indexer does, so repeating it changes nothing. The bookmark is saved
after the step. See docs/design/replay.md.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from agents.indexing.corrections import correct_rows, true_runs
from agents.indexing.row_writers import (
    CHUNKS,
    FRAGMENTS,
    ROW_WRITERS,
    RUNS,
    RowWriter,
    row_writer_for,
)
from agents.replay.catalog_job import (
    IN_S3,
    CatalogJob,
    CatalogReplayResult,
    batches,
    truncation_message,
)
from agents.replay.kafka_source import KafkaSource, PartitionRange, StartPosition
from agents.replay.progress import ProgressDisplay
from agents.replay.retry import retry_for
from agents.replay.s3_source import S3Source
from domain.errors import InvalidEventError
from domain.events import AnyEvent, FragmentArrived, Heartbeat, RunEnded, RunStarted
from domain.identity import site_of
from domain.times import utc_ms
from stores.catalog import Catalog, known_cameras
from stores.catalog.bookmarks import delete_bookmark, load_bookmark, save_bookmark
from stores.catalog.erasure import erased_tenants
from stores.catalog.retention import cameras_with_footage
from stores.catalog.schema_copy import copy_decisions, restore_deletion_marks
from streams import codec, topics
from streams.codec import Record
from streams.topics import TopicSpec

SAVE_EVERY_S = 0.5
AFTER_ALL_DAYS_MS = 1 << 47
"""Marks in the bookmark that a camera is done."""
KEYED_BY_SITE = frozenset({topics.HEARTBEAT.name})
TOPIC_ORDER: tuple[tuple[TopicSpec, ...], ...] = (
    (topics.CHUNK_COMPLETE,),
    (topics.FRAGMENT_ARRIVED,),
    (topics.DETECTION, topics.HEARTBEAT),
)


class CatalogReplay:
    """Rebuilds one catalog, while live workers run."""

    def __init__(
        self,
        kafka_source: KafkaSource,
        s3_source: S3Source,
        catalog: Catalog,
        job: CatalogJob,
        progress: ProgressDisplay,
    ) -> None:
        self._kafka_source = kafka_source
        self._s3_source = s3_source
        self._catalog = catalog
        self._job = job
        self._progress = progress
        self._sites = {site_of(camera) for camera in job.cameras}
        self._specs = {
            spec.name_for(kafka_source.settings): spec
            for spec in (topics.DELETED, *(spec for step in TOPIC_ORDER for spec in step))
        }
        self._ranges: list[PartitionRange] = []
        self._s3_position: Any = None
        """`none`, `done`, or [camera, day (ms)] up to which S3 was read."""
        self._saved_s = 0.0
        self._erased: frozenset[str] = frozenset()
        """Tenants that were erased: Kafka keeps their events for a while, and they stay out."""
        self.result = CatalogReplayResult()

    async def run(self, *, restart: bool = False) -> CatalogReplayResult:
        """Rebuild from where an earlier run stopped. Raises StoreError if a server fails."""
        if restart or not await self._resume():
            await self._start()
        self._erased = frozenset(await erased_tenants(self._catalog))
        await self._copy_decisions()
        await self._replay_topics([topics.DELETED])
        await self._replay_s3()
        for step in TOPIC_ORDER:
            await self._replay_topics(step)
        await self._finish()
        return self.result

    # -- the start, and the bookmark

    async def _start(self) -> None:
        self._ranges = []
        self._s3_position = "none"
        truncated: list[TopicSpec] = []
        for spec in self._specs.values():
            start = StartPosition() if spec is topics.DELETED else self._job.start
            key = "site" if spec.name in KEYED_BY_SITE else "camera"
            ranges = await self._kafka_source.ranges(spec, start, self._job.cameras, key)
            self._ranges += ranges
            if any(each.truncated for each in ranges):
                truncated.append(spec)
        if truncated:
            self._progress.say(truncation_message(truncated, self._job.start))
            if any(spec.name in IN_S3 for spec in truncated):
                self._s3_position = ["", -1]
        await self._save(now=True)

    async def _resume(self) -> bool:
        state = await load_bookmark(self._catalog, self._job.name)
        if state is None:
            return False
        self._ranges = [PartitionRange(*each) for each in state["parts"]]
        first = await self._kafka_source.first_offsets(self._ranges)
        if any(first[each.topic, each.partition] > each.at for each in self._ranges if each.left):
            self._progress.say(
                "Kafka has deleted events that this replay has not read yet. It starts again."
            )
            return False
        self._s3_position = state["s3"]
        self.result = CatalogReplayResult(state["read"], state["from_s3"], state["unreadable"])
        self.result.changes = Counter(state["changes"])
        self._progress.resume(self.result.read)
        self._progress.say("Continuing where this replay stopped.")
        return True

    async def _save(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._saved_s < SAVE_EVERY_S:
            return
        state = {
            "parts": [each.as_json() for each in self._ranges],
            "s3": self._s3_position,
            "read": self.result.read,
            "from_s3": self.result.from_s3,
            "unreadable": self.result.unreadable,
            "changes": dict(self.result.changes),
        }
        await self._retry(lambda: save_bookmark(self._catalog, self._job.name, state))
        self._saved_s = time.monotonic()

    # -- rows that no event contains

    async def _copy_decisions(self) -> None:
        source = self._job.copy_from
        if source is not None:
            changed = await self._retry(lambda: copy_decisions(self._catalog, source))
            self._count("decisions", changed)

    # -- Kafka

    async def _replay_topics(self, specs: Sequence[TopicSpec]) -> None:
        names = {spec.name_for(self._kafka_source.settings) for spec in specs}
        ranges = [each for each in self._ranges if each.topic in names]
        self._progress.total = self._progress.done + sum(each.left for each in self._ranges)
        if not any(each.left for each in ranges):
            return
        async with aclosing(self._kafka_source.read(ranges)) as read:
            async for part, records in read:
                await self._write(self._select(records))
                done = records[-1].offset + 1 - part.at
                part.at += done
                self.result.read += len(records)
                self._progress.add(done)
                await self._save()
        for each in ranges:
            each.at = max(each.at, each.end)
        await self._save(now=True)

    def _select(self, records: Iterable[Record]) -> dict[str, list[AnyEvent]]:
        """Return the valid events of the cameras, by row writer, in their order."""
        found: dict[str, list[AnyEvent]] = {}
        for record in records:
            try:
                event = codec.decode(record, self._specs[record.topic])
                rows = row_writer_for(event, record.timestamp_ms)
            except InvalidEventError:
                self.result.unreadable += 1
                continue
            if rows is not None and self._is_selected(event):
                found.setdefault(rows.name, []).append(event)
        return found

    def _is_selected(self, event: AnyEvent) -> bool:
        if event.key.split("/", 1)[0] in self._erased:
            return False
        if not self._job.cameras:
            return True
        if isinstance(event, Heartbeat):
            return event.site in self._sites
        return getattr(event, "camera", None) in self._job.cameras

    # -- writing

    async def _write(self, events: dict[str, list[AnyEvent]]) -> None:
        for rows in ROW_WRITERS:
            for batch in batches(rows, events.get(rows.name, [])):
                await self._write_batch(rows, batch)

    async def _write_batch(self, rows: RowWriter, events: Sequence[AnyEvent]) -> None:
        now_ms = utc_ms()
        store = self._s3_source.store
        try:
            if rows is RUNS:
                runs = [each for each in events if isinstance(each, RunStarted | RunEnded)]
                events = await self._retry(lambda: true_runs(store, runs, keep_unknown=True))
            changed = await self._retry(lambda: rows.write(self._catalog, events, now_ms))
            if rows is FRAGMENTS and changed < len(events):  # as the indexer does
                notices = [each for each in events if isinstance(each, FragmentArrived)]
                changed += await self._retry(
                    lambda: correct_rows(self._catalog, store, notices, now_ms)
                )
            self._count(rows.name, changed)
        except InvalidEventError:
            if len(events) == 1:
                self.result.unreadable += 1
                return
            # One event of the batch is invalid: write each alone to find it.
            for each in events:
                await self._write_batch(rows, [each])

    def _count(self, name: str, changed: int) -> None:
        if changed:
            self.result.changes[name] += changed

    async def _retry(self, action: Callable[[], Awaitable[Any]]) -> Any:
        return await retry_for(action, say=self._progress.say)

    # -- S3

    async def _replay_s3(self) -> None:
        """Read S3 by camera and day. The bookmark has the last camera and day that were read."""
        if not isinstance(self._s3_position, list):
            return
        cameras = await self._retry(lambda: self._s3_source.cameras(self._job.cameras))
        known = await known_cameras(self._catalog)  # if empty, all cameras in S3 are rebuilt
        for camera in (each for each in cameras if not known or each in known):
            last, last_day_ms = self._s3_position
            if camera < last:
                continue
            for day_ms in await self._retry(lambda: self._s3_source.days(camera)):  # noqa: B023
                if camera > last or day_ms > last_day_ms:
                    await self._retry(lambda: self._replay_day(camera, day_ms))  # noqa: B023
                    self._s3_position = [camera, day_ms]
                    await self._save()
            await self._retry(lambda: self._replay_unjoined(camera))  # noqa: B023
            self._s3_position = [camera, AFTER_ALL_DAYS_MS]
            await self._save()
        self._s3_position = "done"
        await self._save(now=True)

    async def _replay_day(self, camera: str, day_ms: int) -> None:
        batch: list[AnyEvent] = []
        async with aclosing(self._s3_source.manifests(camera, day_ms)) as manifests:
            async for chunk in manifests:
                batch.append(chunk)
                if len(batch) >= CHUNKS.max_weight:
                    await self._write_from_s3(batch)
                    batch = []
        await self._write_from_s3(batch)

    async def _replay_unjoined(self, camera: str) -> None:
        batch: list[AnyEvent] = []
        unjoined = self._s3_source.unjoined(self._catalog, camera, utc_ms(), self._job.window_ms)
        async with aclosing(unjoined) as events:
            async for event in events:
                batch.append(event)
                if len(batch) >= CHUNKS.max_weight:
                    await self._write_from_s3(batch)
                    batch = []
        await self._write_from_s3(batch)

    async def _write_from_s3(self, events: Sequence[AnyEvent]) -> None:
        by_writer: dict[str, list[AnyEvent]] = {}
        for event in events:
            try:
                rows = row_writer_for(event, utc_ms())
            except InvalidEventError:
                self.result.unreadable += 1
                continue
            if rows is not None:
                by_writer.setdefault(rows.name, []).append(event)
        await self._write(by_writer)
        self.result.from_s3 += len(events)
        self._progress.add(len(events))

    # -- the end

    async def _finish(self) -> None:
        """Apply the tombstones and decisions added during the replay; delete the bookmark."""
        newest = await self._kafka_source.ranges(topics.DELETED, StartPosition(), self._job.cameras)
        read_to = {(each.topic, each.partition): each.at for each in self._ranges}
        for each in newest:
            each.at = max(each.at, read_to.get((each.topic, each.partition), 0))
        self._ranges = newest
        await self._replay_topics([topics.DELETED])
        await self._copy_decisions()
        for camera in await cameras_with_footage(self._catalog):
            if not self._job.cameras or camera in self._job.cameras:
                known = self._job.copy_from is not None
                await restore_deletion_marks(self._catalog, camera, pending_known=known)
        await self._retry(lambda: delete_bookmark(self._catalog, self._job.name))
