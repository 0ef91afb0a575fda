"""Enforcing retention: rows first, then tombstones, then objects, each step safe to do again.

    decide     one transaction under the camera's lock: holds and rules are read again, rows go,
               tombstones stand, the deletion is noted as under way
    tell       `Deleted` goes to Kafka and is acknowledged
    delete     under the holds' lock: objects no hold touches go, then the note

Whoever comes after a crash begins with what is under way. See docs/design/retention.md.
"""

import logging
from collections import Counter as Tally
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from domain.consistency import manifest_fault
from domain.consistency.manifests import NOT_THERE
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete, Event
from domain.identity import (
    fragment_key,
    is_run,
    manifest_key,
    parse_chunk_key,
    run_end_key,
    run_started_ms,
)
from domain.retention import Judgement, Margins, Policy, Reason
from domain.seqs import SeqRanges
from stores import inventory as bucket
from stores.catalog import Catalog
from stores.catalog import retention as book
from stores.catalog.forgetting import forget_old
from stores.catalog.retention import ChunkKept, Deletion, FragmentKept, Mark
from stores.objects import ObjectStore
from streams.metrics import REGISTRY

MOST_KEYS = 1_000
"""Keys of one request to S3, and seqs of one tombstone."""
PAGE = 30
"""Chunks decided about at once: about a thousand fragments."""

log = logging.getLogger(__name__)
OBJECTS = Counter(
    "vigil_retention_deleted_objects",
    "Objects whose deletion was asked of S3, by reason: age, joined, superseded",
    ("reason",),
    registry=REGISTRY,
)
BYTES = Counter(
    "vigil_retention_deleted_bytes",
    "Bytes that went, as the catalog knew them, by reason",
    ("reason",),
    registry=REGISTRY,
)
HELD = Gauge(
    "vigil_retention_held",
    "Chunks, fragments and deletions that a legal hold keeps, at the last pass",
    registry=REGISTRY,
)
UNCHECKED = Gauge(
    "vigil_retention_unchecked",
    "Chunks whose object or manifest is not as the catalog says, so that their fragments stay",
    registry=REGISTRY,
)


class Sends(Protocol):
    """What tombstones are sent with: returns once the brokers have them."""

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        """Send an event; StoreError where Kafka did not take it."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A chunk of which something may go, as S3 has it."""

    chunk: ChunkKept
    judgement: Judgement
    manifest: ChunkComplete | None = None
    """Where its object and manifest are as the row says."""
    older: tuple[ChunkComplete, ...] = ()


class Retain:
    """One pass over cameras. `clock_ms` gives UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        sender: Sends | None,
        margins: Margins,
        clock_ms: Callable[[], int],
    ) -> None:
        """Without a sender nothing is deleted, only counted."""
        self._store, self._catalog, self._sender = store, catalog, sender
        self._margins, self._clock_ms = margins, clock_ms
        self.objects: Tally[Reason] = Tally()
        self.bytes: Tally[Reason] = Tally()
        self.detections = 0
        self.held = 0
        self.unchecked = 0

    async def run(self, cameras: Iterable[str]) -> None:
        """Enforce on cameras; raises StoreError where an outside system fails: do it again."""
        for camera in cameras:
            await self.camera(camera)
        HELD.set(self.held)
        UNCHECKED.set(self.unchecked)

    async def camera(self, camera: str) -> None:
        """Finish what is under way, then decide and carry out page by page."""
        after = await self._carry_out(camera, 0, first=True)
        now_ms = self._clock_ms()
        policy = await book.policy(self._catalog, self._margins)
        async for page in book.chunks(self._catalog, camera, policy, now_ms, PAGE):
            found = [each async for each in self._look(camera, page, policy, now_ms)]
            if self._sender is None:
                self._tally(self._deletions(camera, found, now_ms))
                continue
            await self._decide_chunks(camera, found, now_ms)
            after = await self._carry_out(camera, after)
        age_ms = policy.age_ms(camera)
        if age_ms is None:
            return
        async for rows in book.fragments(self._catalog, camera, now_ms - age_ms, MOST_KEYS):
            if self._sender is None:
                self._tally(self._loose(camera, rows, policy, now_ms))
                continue
            async with book.deciding(self._catalog, camera, self._margins) as (connection, newest):
                deletions = self._loose(camera, rows, newest, now_ms)
                if deletions:
                    await book.bury(connection, camera, deletions, [])
            after = await self._carry_out(camera, after)
        if self._sender is not None:
            self.detections += await forget_old(self._catalog, camera, now_ms - age_ms)
            await self._delete_ends(camera, now_ms - age_ms)

    async def _delete_ends(self, camera: str, until_ms: int) -> None:
        """Delete the ends of runs of which nothing is left; the catalog keeps what they say."""
        runs = [
            run
            async for run in bucket.runs(self._store, camera)
            if is_run(run) and run_started_ms(run) < until_ms
        ]
        for start in range(0, len(runs), MOST_KEYS):
            some = runs[start : start + MOST_KEYS]
            async with book.deciding(self._catalog, camera, self._margins) as (connection, policy):
                keys = []
                for run, from_ms, to_ms in await book.ends_left(connection, camera, some, until_ms):
                    stands = [
                        info.key async for _, info in bucket.fragments(self._store, camera, run)
                    ]
                    if stands != [run_end_key(camera, run)]:
                        continue
                    if policy.held(camera, from_ms, to_ms):
                        self.held += 1
                    else:
                        keys += stands
                await self._store.delete(keys)
            self.objects["age"] += len(keys)
            OBJECTS.labels("age").inc(len(keys))

    # -- looking

    async def _look(
        self, camera: str, page: Sequence[ChunkKept], policy: Policy, now_ms: int
    ) -> AsyncIterator[_Found]:
        for chunk in page:
            judgement = policy.judge(camera, chunk.footage, now_ms)
            self.held += judgement.held
            if not judgement.may_go:
                continue
            found = _Found(chunk, judgement)
            if "joined" in judgement.may_go:
                manifest = await self._checked(chunk)
                if manifest is None:
                    self.unchecked += 1
                    judgement = Judgement(judgement.may_go - {"joined"})
                found = replace(found, manifest=manifest, judgement=judgement)
            if "superseded" in judgement.may_go:
                found = replace(found, older=await self._older(camera, chunk))
            if found.judgement.may_go:
                yield found

    async def _checked(self, chunk: ChunkKept) -> ChunkComplete | None:
        """Return the manifest of a chunk that stands in S3 as its row says: HEAD and GET."""
        key = manifest_key(chunk.object_key)
        try:
            size_bytes = (await self._store.head(chunk.object_key)).size_bytes
            manifest = ChunkComplete.model_validate_json(await self._store.get(key))
        except (ObjectMissingError, ValidationError):
            size_bytes, manifest = -1, None
        agrees = (
            manifest is not None
            and manifest_fault(key, manifest) is None
            and size_bytes == chunk.size_bytes == manifest.size_bytes
            and (manifest.revision, manifest.digest) == (chunk.revision, chunk.digest)
            and SeqRanges.of(each.seq for each in manifest.fragments) == chunk.seqs
        )
        if not agrees:
            log.warning(
                "fragments stay: object or manifest of %s is not as the catalog says; see "
                "`vigil fsck`",
                chunk.object_key,
            )
            return None
        return manifest

    async def _older(self, camera: str, chunk: ChunkKept) -> tuple[ChunkComplete, ...]:
        """Return the lower revisions of a chunk whose manifests stand."""
        found = []
        async for info in bucket.window(self._store, camera, chunk.run, chunk.window_start_ms):
            name = parse_chunk_key(info.key)
            if name is None or not name.manifest or name.window_ms != chunk.window_ms:
                continue
            try:
                older = ChunkComplete.model_validate_json(await self._store.get(info.key))
            except (ObjectMissingError, ValidationError):
                continue  # fsck tells of it
            if older.revision < chunk.revision and name.digest != chunk.digest:
                found.append(older)
        return tuple(found)

    # -- deciding

    async def _decide_chunks(self, camera: str, found: Sequence[_Found], now_ms: int) -> None:
        if not found:
            return
        async with book.deciding(self._catalog, camera, self._margins) as (connection, policy):
            current = await book.still(connection, camera, (each.chunk for each in found))
            agreed = []
            for each in found:
                if (each.chunk.window_start_ms, each.chunk.run) not in current:
                    continue
                now = policy.judge(camera, each.chunk.footage, now_ms)
                may_go = each.judgement.may_go & now.may_go
                if may_go:
                    agreed.append(replace(each, judgement=Judgement(may_go)))
            marks = [
                Mark(
                    each.chunk.window_start_ms,
                    each.chunk.run,
                    "joined" in each.judgement.may_go,
                    "superseded" in each.judgement.may_go,
                )
                for each in agreed
            ]
            deletions = self._deletions(camera, agreed, now_ms)
            if deletions or marks:
                await book.bury(connection, camera, deletions, marks)

    def _deletions(self, camera: str, found: Sequence[_Found], now_ms: int) -> list[Deletion]:
        whole, seqs, older = [], _Seqs(camera, now_ms), []
        for each in found:
            chunk, footage = each.chunk, each.chunk.footage
            if "age" in each.judgement.may_go:
                whole.append(
                    Deletion(
                        *(camera, chunk.run, "chunk", "age", footage.from_ms, footage.to_ms),
                        *(chunk.size_bytes, now_ms),
                        window_start_ms=chunk.window_start_ms,
                    )
                )
                left_out = _left_out(chunk)
                if footage.joined_gone < chunk.revision:
                    seqs.add("age", chunk, chunk.seqs | left_out)
                elif left_out:
                    seqs.add("age", chunk, left_out)
            if "joined" in each.judgement.may_go:
                seqs.add("joined", chunk, chunk.seqs)
            older += [
                Deletion(
                    *(camera, chunk.run, "chunk", "superseded", footage.from_ms, footage.to_ms),
                    *(revision.size_bytes, now_ms),
                    window_start_ms=chunk.window_start_ms,
                    digest=revision.digest,
                )
                for revision in each.older
            ]
        return [*whole, *seqs.deletions(), *older]

    def _loose(
        self, camera: str, rows: Sequence[FragmentKept], policy: Policy, now_ms: int
    ) -> list[Deletion]:
        """Return the deletions of fragments that no chunk holds and that are too old."""
        seqs = _Seqs(camera, now_ms)
        for row in rows:
            judgement = policy.judge(camera, row.footage, now_ms)
            self.held += judgement.held
            if "age" in judgement.may_go:
                seqs.add("age", row, SeqRanges.of([row.seq]))
        return list(seqs.deletions())

    # -- carrying out

    async def _carry_out(self, camera: str, after: int, *, first: bool = False) -> int:
        """Tell and delete what is under way beyond a number; return the last one looked at."""
        while self._sender is not None:
            deletions = await book.under_way(self._catalog, camera, self._clock_ms(), after)
            if not deletions:
                break
            for each in deletions:
                await self._sender.send(each.event())
            for batch in _batches(deletions):
                await self._delete(batch)
            after = deletions[-1].id
        if first and after:
            log.info("took up what an earlier pass had decided", extra={"camera": camera})
        return after

    async def _delete(self, batch: Sequence[Deletion]) -> None:
        async with book.standing(self._catalog, batch) as (connection, free):
            self.held += len(batch) - len(free)
            keys: list[str] = []
            for each in free:
                mine = [key async for key in self._keys(each)]
                self._count(each, len(mine))
                keys += mine
            await self._store.delete(keys)
            await book.done(connection, free)

    async def _keys(self, deletion: Deletion) -> AsyncIterator[str]:
        """Yield what a deletion names; a chunk's manifest after its object, so it stays known."""
        camera, run = deletion.camera, deletion.run
        if deletion.what == "fragments":
            assert deletion.first_seq is not None
            assert deletion.last_seq is not None
            for seq in range(deletion.first_seq, deletion.last_seq + 1):
                yield fragment_key(camera, run, seq)
            return
        assert deletion.window_start_ms is not None
        manifests = []
        async for info in bucket.window(self._store, camera, run, deletion.window_start_ms):
            name = parse_chunk_key(info.key)
            if name is None or name.window_start_ms + name.window_ms > deletion.to_ms:
                continue
            if deletion.digest not in (None, name.digest):
                continue
            if name.manifest:
                manifests.append(info.key)
            else:
                yield info.key
        for key in manifests:
            yield key

    def _tally(self, deletions: Iterable[Deletion]) -> None:
        for each in deletions:
            objects = 2
            if each.first_seq is not None and each.last_seq is not None:
                objects = each.last_seq - each.first_seq + 1
            self.objects[each.cause] += objects
            self.bytes[each.cause] += each.size_bytes

    def _count(self, deletion: Deletion, objects: int) -> None:
        self.objects[deletion.cause] += objects
        self.bytes[deletion.cause] += deletion.size_bytes
        OBJECTS.labels(deletion.cause).inc(objects)
        BYTES.labels(deletion.cause).inc(deletion.size_bytes)


class _Seqs:
    """Gathers seqs by run, so that one tombstone names many: at most MOST_KEYS."""

    def __init__(self, camera: str, now_ms: int) -> None:
        self._camera, self._now_ms = camera, now_ms
        self._parts: dict[tuple[Reason, str], list[tuple[SeqRanges, int, int, int]]] = {}

    def add(self, cause: Reason, of: ChunkKept | FragmentKept, seqs: SeqRanges) -> None:
        """Take seqs of a chunk, or a fragment."""
        part = (seqs, of.footage.from_ms, of.footage.to_ms, of.size_bytes)
        self._parts.setdefault((cause, of.run), []).append(part)

    def deletions(self) -> Iterator[Deletion]:
        """Yield them, each with the time that all its parts cover."""
        for (cause, run), parts in self._parts.items():
            left = {at: part[3] for at, part in enumerate(parts)}
            seqs = SeqRanges(pair for part in parts for pair in part[0].ranges)
            for first, last in _pieces(seqs):
                touched = [
                    at for at, part in enumerate(parts) if part[0].within(first, last).ranges
                ]
                yield Deletion(
                    *(self._camera, run, "fragments", cause),
                    min(parts[at][1] for at in touched),
                    max(parts[at][2] for at in touched),
                    sum(left.pop(at, 0) for at in touched),
                    self._now_ms,
                    first_seq=first,
                    last_seq=last,
                )


def _pieces(seqs: SeqRanges) -> Iterator[tuple[int, int]]:
    for first, last in seqs.ranges:
        for start in range(first, last + 1, MOST_KEYS):
            yield start, min(last, start + MOST_KEYS - 1)


def _left_out(chunk: ChunkKept) -> SeqRanges:
    """Return the fragments left out for unusable bytes that start in the chunk's own window."""
    end_ms = chunk.window_start_ms + chunk.window_ms
    gaps = [
        gap
        for gap in chunk.gaps
        if gap["first_seq"] == gap["last_seq"]
        and gap["reason"] not in NOT_THERE
        and chunk.window_start_ms <= gap["from_ms"] < end_ms
    ]
    return SeqRanges.of(gap["first_seq"] for gap in gaps)


def _batches(deletions: Sequence[Deletion]) -> Iterator[list[Deletion]]:
    """Yield deletions together that name at most MOST_KEYS fragments, or 100 chunks."""
    batch: list[Deletion] = []
    keys = 0
    for each in deletions:
        many = 10
        if each.first_seq is not None and each.last_seq is not None:
            many = each.last_seq - each.first_seq + 1
        if batch and keys + many > MOST_KEYS:
            yield batch
            batch, keys = [], 0
        batch.append(each)
        keys += many
    if batch:
        yield batch
