"""Rebuilding a catalog from Kafka, and from S3's listing where Kafka no longer reaches.

    decisions    of people, tombstones, deletions under way: from the catalog in use, if another
    tombstones   the topic `deleted`, always whole: nothing that is gone can come back later
    S3           only if retention cut something off: manifests, then what no chunk accounts for
    Kafka        chunks, then fragments, runs, detections, heartbeats, up to where it ended
    again        tombstones and decisions that came meanwhile

Every step is written as the indexer writes it, and is nothing when done again; the bookmark
moves behind it. See docs/design/replay.md.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from agents.indexing.row_writers import CHUNKS, ROW_WRITERS, RowWriter, row_writer_for
from agents.replay.catalog_job import IN_S3, CatalogJob, CatalogReplayResult, cut_off, together
from agents.replay.kafka_source import KafkaSource, PartitionRange, StartPosition
from agents.replay.progress import ProgressDisplay
from agents.replay.retry import retry_for
from agents.replay.s3_source import S3Source
from domain.errors import InvalidEventError
from domain.events import AnyEvent, Heartbeat
from domain.identity import site_of
from domain.times import utc_ms
from stores.catalog import Catalog, known_cameras
from stores.catalog.bookmarks import delete_bookmark, load_bookmark, save_bookmark
from stores.catalog.retention import cameras_with_footage
from stores.catalog.schema_copy import copy_decisions, restore_deletion_marks
from streams import codec, topics
from streams.codec import Record
from streams.topics import TopicSpec

SAVE_EVERY_S = 0.5
KEYED_BY_SITE = frozenset({topics.HEARTBEAT.name})
IN_ORDER: tuple[tuple[TopicSpec, ...], ...] = (
    (topics.CHUNK_COMPLETE,),
    (topics.FRAGMENT_ARRIVED,),
    (topics.DETECTION, topics.HEARTBEAT),
)


class CatalogReplay:
    """One rebuilding into one catalog, beside live workers."""

    def __init__(
        self,
        kafka_source: KafkaSource,
        s3_source: S3Source,
        catalog: Catalog,
        of: CatalogJob,
        progress: ProgressDisplay,
    ) -> None:
        self._kafka_source, self._s3_source, self._catalog = kafka_source, s3_source, catalog
        self._of, self._progress = of, progress
        self._sites = {site_of(camera) for camera in of.cameras}
        self._specs = {
            spec.name_for(kafka_source.settings): spec
            for spec in (topics.DELETED, *(spec for step in IN_ORDER for spec in step))
        }
        self._parts: list[PartitionRange] = []
        self._s3: Any = None
        self._saved_s = 0.0
        self.result = CatalogReplayResult()

    async def run(self, *, restart: bool = False) -> CatalogReplayResult:
        """Rebuild, from where an earlier run stopped; StoreError where an outside system fails."""
        if restart or not await self._resumed():
            await self._begin()
        await self._decisions()
        await self._kafka([topics.DELETED])
        await self._listed()
        for step in IN_ORDER:
            await self._kafka(step)
        await self._finish()
        return self.result

    # -- where it begins

    async def _begin(self) -> None:
        self._parts, self._s3 = [], "none"
        cut: list[TopicSpec] = []
        for spec in self._specs.values():
            begin = StartPosition() if spec is topics.DELETED else self._of.begin
            key = "site" if spec.name in KEYED_BY_SITE else "camera"
            parts = await self._kafka_source.parts(spec, begin, self._of.cameras, key)
            self._parts += parts
            if any(part.cut for part in parts):
                cut.append(spec)
        if cut:
            self._progress.say(cut_off(cut, self._of.begin))
            if any(spec.name in IN_S3 for spec in cut):
                self._s3 = ["", -1]
        await self._save(now=True)

    async def _resumed(self) -> bool:
        state = await load_bookmark(self._catalog, self._of.job)
        if state is None:
            return False
        self._parts = [PartitionRange(*each) for each in state["parts"]]
        known = await self._kafka_source.first_kept(self._parts)
        if any(known[part.topic, part.partition] > part.at for part in self._parts if part.left):
            self._progress.say(
                "Kafka's retention has passed where this replay stopped: it begins anew."
            )
            return False
        self._s3 = state["s3"]
        self.result = CatalogReplayResult(
            *(state[name] for name in ("read", "from_s3", "unreadable"))
        )
        self.result.changes = Counter(state["changes"])
        self._progress.resume(self.result.read)
        self._progress.say("Going on where this replay stopped.")
        return True

    async def _save(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._saved_s < SAVE_EVERY_S:
            return
        state = {
            "parts": [part.as_json() for part in self._parts],
            "s3": self._s3,
            "read": self.result.read,
            "from_s3": self.result.from_s3,
            "unreadable": self.result.unreadable,
            "changes": dict(self.result.changes),
        }
        await self._retry(lambda: save_bookmark(self._catalog, self._of.job, state))
        self._saved_s = time.monotonic()

    # -- what no event tells

    async def _decisions(self) -> None:
        source = self._of.copy_from
        if source is not None:
            changed = await self._retry(lambda: copy_decisions(self._catalog, source))
            self._count("decisions", changed)

    # -- Kafka

    async def _kafka(self, specs: Sequence[TopicSpec]) -> None:
        names = {spec.name_for(self._kafka_source.settings) for spec in specs}
        parts = [part for part in self._parts if part.topic in names]
        self._progress.total = self._progress.done + sum(part.left for part in self._parts)
        if not any(part.left for part in parts):
            return
        async with aclosing(self._kafka_source.read(parts)) as batches:
            async for part, records in batches:
                await self._write(self._events(records))
                done = records[-1].offset + 1 - part.at
                part.at += done
                self.result.read += len(records)
                self._progress.add(done)
                await self._save()
        for part in parts:
            part.at = max(part.at, part.end)
        await self._save(now=True)

    def _events(self, records: Iterable[Record]) -> dict[str, list[AnyEvent]]:
        """Return the events that are asked for and believed, by kind, in their order."""
        found: dict[str, list[AnyEvent]] = {}
        for record in records:
            try:
                event = codec.decode(record, self._specs[record.topic])
                kind = row_writer_for(event, record.timestamp_ms)
            except InvalidEventError:
                self.result.unreadable += 1
                continue
            if kind is not None and self._asked(event):
                found.setdefault(kind.name, []).append(event)
        return found

    def _asked(self, event: AnyEvent) -> bool:
        if not self._of.cameras:
            return True
        if isinstance(event, Heartbeat):
            return event.site in self._sites
        return getattr(event, "camera", None) in self._of.cameras

    # -- writing

    async def _write(self, events: dict[str, list[AnyEvent]]) -> None:
        for kind in ROW_WRITERS:
            for some in together(kind, events.get(kind.name, [])):
                await self._write_some(kind, some)

    async def _write_some(self, kind: RowWriter, events: Sequence[AnyEvent]) -> None:
        now_ms = utc_ms()
        try:
            changed = await self._retry(lambda: kind.write(self._catalog, events, now_ms))
            self._count(kind.name, changed)
        except InvalidEventError:
            if len(events) == 1:
                self.result.unreadable += 1
                return
            for each in events:
                await self._write_some(kind, [each])

    def _count(self, name: str, changed: int) -> None:
        if changed:
            self.result.changes[name] += changed

    async def _retry(self, action: Callable[[], Awaitable[Any]]) -> Any:
        return await retry_for(action, say=self._progress.say)

    # -- S3

    async def _listed(self) -> None:
        """Read what S3 has, camera by camera, day by day; the bookmark names the last of each."""
        if not isinstance(self._s3, list):
            return
        cameras = await self._retry(lambda: self._s3_source.cameras(self._of.cameras))
        known = await known_cameras(self._catalog)  # none: nobody could say which are ours
        for camera in (each for each in cameras if not known or each in known):
            last, last_day_ms = self._s3
            if camera < last:
                continue
            for day_ms in await self._retry(lambda: self._s3_source.days(camera)):  # noqa: B023
                if camera > last or day_ms > last_day_ms:
                    await self._retry(lambda: self._day(camera, day_ms))  # noqa: B023
                    self._s3 = [camera, day_ms]
                    await self._save()
            await self._retry(lambda: self._loose(camera))  # noqa: B023
            self._s3 = [camera, 1 << 47]
            await self._save()
        self._s3 = "done"
        await self._save(now=True)

    async def _day(self, camera: str, day_ms: int) -> None:
        batch: list[AnyEvent] = []
        async with aclosing(self._s3_source.manifests(camera, day_ms)) as manifests:
            async for chunk in manifests:
                batch.append(chunk)
                if len(batch) >= CHUNKS.max_weight:
                    await self._from_s3(batch)
                    batch = []
        await self._from_s3(batch)

    async def _loose(self, camera: str) -> None:
        batch: list[AnyEvent] = []
        now_ms = utc_ms()
        loose = self._s3_source.loose(self._catalog, camera, now_ms, self._of.window_ms)
        async with aclosing(loose) as events:
            async for event in events:
                batch.append(event)
                if len(batch) >= CHUNKS.max_weight:
                    await self._from_s3(batch)
                    batch = []
        await self._from_s3(batch)

    async def _from_s3(self, events: Sequence[AnyEvent]) -> None:
        by_kind: dict[str, list[AnyEvent]] = {}
        for event in events:
            try:
                kind = row_writer_for(event, utc_ms())
            except InvalidEventError:
                self.result.unreadable += 1
                continue
            if kind is not None:
                by_kind.setdefault(kind.name, []).append(event)
        await self._write(by_kind)
        self.result.from_s3 += len(events)
        self._progress.add(len(events))

    # -- the end

    async def _finish(self) -> None:
        """Take in what was deleted meanwhile, and forget the bookmark: it is done."""
        newest = await self._kafka_source.parts(topics.DELETED, StartPosition(), self._of.cameras)
        read_to = {(part.topic, part.partition): part.at for part in self._parts}
        for part in newest:
            part.at = max(part.at, read_to.get((part.topic, part.partition), 0))
        self._parts = newest
        await self._kafka([topics.DELETED])
        await self._decisions()
        for camera in await cameras_with_footage(self._catalog):
            if not self._of.cameras or camera in self._of.cameras:
                known = self._of.copy_from is not None
                await restore_deletion_marks(self._catalog, camera, under_way_known=known)
        await self._retry(lambda: delete_bookmark(self._catalog, self._of.job))
