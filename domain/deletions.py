"""The deletions that follow from retention, each with the tombstone that names what is deleted.

    judged   chunk 0-4 joined   chunk 5-9 joined   chunk 10-14 too old   fragment 15 too old
    named    [------- fragments 0-9, joined -----][-------- fragments 10-15, age ------------]
                                                   chunk, age

One tombstone names up to MAX_KEYS fragments of a run. See docs/design/retention.md.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from domain.consistency.manifests import NO_OBJECT
from domain.events import ChunkComplete, Deleted
from domain.retention import REASONS, Judgement, Reason, RetainedFootage, RetentionPolicy
from domain.seqs import SeqRanges

MAX_KEYS = 1_000
"""Keys of one request to S3, and seqs of one tombstone."""
CHUNK_KEYS = 10
"""How many keys the deletion of a chunk counts for in a batch."""


@dataclass(frozen=True, slots=True)
class RetainedChunk:
    """A chunk that may have something to delete."""

    window_start_ms: int
    run: str
    window_ms: int
    revision: int
    digest: str
    object_key: str
    size_bytes: int
    seqs: SeqRanges
    gaps: tuple[dict[str, Any], ...]
    footage: RetainedFootage

    def left_out(self) -> SeqRanges:
        """Return the fragments of its own window that it left out because of unusable bytes."""
        end_ms = self.window_start_ms + self.window_ms
        return SeqRanges.of(
            gap["first_seq"]
            for gap in self.gaps
            if gap["first_seq"] == gap["last_seq"]
            and gap["reason"] not in NO_OBJECT
            and self.window_start_ms <= gap["from_ms"] < end_ms
        )


@dataclass(frozen=True, slots=True)
class RetainedFragment:
    """A fragment that is in no chunk."""

    run: str
    seq: int
    size_bytes: int
    footage: RetainedFootage


@dataclass(frozen=True, slots=True)
class DeletionCandidate:
    """A chunk of which something may be deleted, as S3 has it."""

    chunk: RetainedChunk
    judgement: Judgement
    older: tuple[ChunkComplete, ...] = ()
    """Its lower revisions that still exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FragmentsDeletion:
    """The decided deletion of the fragments first_seq..last_seq of one run."""

    camera: str
    run: str
    cause: Reason
    from_ms: int
    """Start of the footage (UTC), for legal holds."""
    to_ms: int
    size_bytes: int
    decided_ms: int
    first_seq: int
    last_seq: int
    id: int = 0
    """Its number in the catalog, 0 before it has one."""

    @property
    def fragments(self) -> range:
        """The seqs that it deletes."""
        return range(self.first_seq, self.last_seq + 1)

    @property
    def key_count(self) -> int:
        """How many S3 keys it counts for in a batch."""
        return len(self.fragments)

    def event(self) -> Deleted:
        """Return the tombstone, the same each time."""
        return Deleted(
            camera=self.camera,
            run=self.run,
            what="fragments",
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            reason=f"retention: {REASONS[self.cause]}",
            deleted_ms=self.decided_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkDeletion:
    """The decided deletion of one run's chunk in one window: one revision of it, or all."""

    camera: str
    run: str
    cause: Reason
    from_ms: int
    """Start of the footage (UTC), for legal holds."""
    to_ms: int
    size_bytes: int
    decided_ms: int
    window_start_ms: int
    digest: str | None = None
    """The revision; None: all of them."""
    window_ms: int | None = None
    """Length of its window, if other chunks replaced it: its address is valid until then."""
    not_before_ms: int = 0
    """Its objects are not deleted before (UTC)."""
    id: int = 0
    """Its number in the catalog, 0 before it has one."""

    @property
    def key_count(self) -> int:
        """How many S3 keys it counts for in a batch."""
        return CHUNK_KEYS

    def event(self) -> Deleted:
        """Return the tombstone, the same each time."""
        return Deleted(
            camera=self.camera,
            run=self.run,
            what="chunk",
            window_start_ms=self.window_start_ms,
            digest=self.digest,
            reason=f"retention: {REASONS[self.cause]}",
            deleted_ms=self.decided_ms,
        )


Deletion = FragmentsDeletion | ChunkDeletion
"""One decided deletion."""


@dataclass(frozen=True, slots=True)
class RevisionMark:
    """What is deleted of a chunk's current revision while the chunk itself stays."""

    window_start_ms: int
    run: str
    joined: bool
    older: bool


def still_deletable(
    camera: str,
    candidates: Iterable[DeletionCandidate],
    current: Collection[tuple[int, str]],
    policy: RetentionPolicy,
    now_ms: int,
) -> list[DeletionCandidate]:
    """Return what may still be deleted, by the rules and holds of now, of chunks still current.

    `current` has the window's start (UTC ms) and run of each chunk that is still current.
    """
    found = []
    for each in candidates:
        if (each.chunk.window_start_ms, each.chunk.run) in current:
            now = policy.judge(camera, each.chunk.footage, now_ms)
            if deletable := each.judgement.deletable & now.deletable:
                found.append(replace(each, judgement=Judgement(deletable)))
    return found


def revision_marks(candidates: Iterable[DeletionCandidate]) -> list[RevisionMark]:
    """Return what the chunks' rows note about the deletions."""
    return [
        RevisionMark(
            each.chunk.window_start_ms,
            each.chunk.run,
            joined="joined" in each.judgement.deletable,
            older="superseded" in each.judgement.deletable,
        )
        for each in candidates
    ]


def chunk_deletions(
    camera: str, candidates: Iterable[DeletionCandidate], now_ms: int
) -> list[Deletion]:
    """Return the deletions of chunks and their fragments, decided at `now_ms` (UTC)."""
    whole: list[Deletion] = []
    older: list[Deletion] = []
    seqs = _SeqCollector(camera, now_ms)
    for each in candidates:
        chunk, deletable = each.chunk, each.judgement.deletable
        if "age" in deletable:
            whole.append(_chunk_deletion(camera, chunk, now_ms))
            left_out = chunk.left_out()
            if chunk.footage.joined_gone < chunk.revision:
                seqs.add("age", chunk, chunk.seqs | left_out)
            elif left_out:
                # The joined fragments' objects were deleted before; those left out were not.
                seqs.add("age", chunk, left_out)
        if "joined" in deletable:
            seqs.add("joined", chunk, chunk.seqs)
        if "superseded" in deletable:
            older += [
                _chunk_deletion(camera, chunk, now_ms, "superseded", lower) for lower in each.older
            ]
    return [*whole, *seqs.deletions(), *older]


def _chunk_deletion(
    camera: str,
    chunk: RetainedChunk,
    now_ms: int,
    cause: Reason = "age",
    lower: ChunkComplete | None = None,
) -> ChunkDeletion:
    """Return the deletion of a lower revision, or of the chunk with all its revisions."""
    return ChunkDeletion(
        camera=camera,
        run=chunk.run,
        cause=cause,
        from_ms=chunk.footage.from_ms,
        to_ms=chunk.footage.to_ms,
        size_bytes=(lower or chunk).size_bytes,
        decided_ms=now_ms,
        window_start_ms=chunk.window_start_ms,
        digest=lower.digest if lower else None,
    )


def fragment_deletions(
    camera: str, rows: Iterable[RetainedFragment], now_ms: int
) -> list[Deletion]:
    """Return the deletions of fragments that are in no chunk and are too old."""
    seqs = _SeqCollector(camera, now_ms)
    for row in rows:
        seqs.add("age", row, SeqRanges.of([row.seq]))
    return list(seqs.deletions())


class _SeqCollector:
    """Collects seqs by run, so that one tombstone names many: at most MAX_KEYS."""

    def __init__(self, camera: str, now_ms: int) -> None:
        self._camera = camera
        self._now_ms = now_ms
        self._parts: dict[tuple[Reason, str], list[tuple[SeqRanges, int, int, int]]] = {}

    def add(
        self, cause: Reason, footage: RetainedChunk | RetainedFragment, seqs: SeqRanges
    ) -> None:
        """Add seqs of a chunk, or a fragment."""
        part = (seqs, footage.footage.from_ms, footage.footage.to_ms, footage.size_bytes)
        self._parts.setdefault((cause, footage.run), []).append(part)

    def deletions(self) -> Iterator[FragmentsDeletion]:
        """Yield them, each with the time of all footage that it touches."""
        for (cause, run), parts in self._parts.items():
            # The bytes of a part count once, for the first deletion that touches it.
            uncounted = {at: part[3] for at, part in enumerate(parts)}
            seqs = SeqRanges(pair for part in parts for pair in part[0].ranges)
            for first, last in _split(seqs):
                touched = [
                    at for at, part in enumerate(parts) if part[0].within(first, last).ranges
                ]
                yield FragmentsDeletion(
                    camera=self._camera,
                    run=run,
                    cause=cause,
                    from_ms=min(parts[at][1] for at in touched),
                    to_ms=max(parts[at][2] for at in touched),
                    size_bytes=sum(uncounted.pop(at, 0) for at in touched),
                    decided_ms=self._now_ms,
                    first_seq=first,
                    last_seq=last,
                )


def _split(seqs: SeqRanges) -> Iterator[tuple[int, int]]:
    for first, last in seqs.ranges:
        for start in range(first, last + 1, MAX_KEYS):
            yield start, min(last, start + MAX_KEYS - 1)


def in_batches(deletions: Sequence[Deletion]) -> Iterator[list[Deletion]]:
    """Yield deletions in batches of at most MAX_KEYS fragments, or 100 chunks."""
    batch: list[Deletion] = []
    keys = 0
    for each in deletions:
        if batch and keys + each.key_count > MAX_KEYS:
            yield batch
            batch, keys = [], 0
        batch.append(each)
        keys += each.key_count
    if batch:
        yield batch
