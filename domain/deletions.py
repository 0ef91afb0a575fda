"""What a judgement of retention comes to: deletions, each with the tombstone that names it.

    judged   chunk 0-4 joined   chunk 5-9 joined   chunk 10-14 too old   fragment 15 too old
    named    [------- fragments 0-9, joined -----][-------- fragments 10-15, age ------------]
                                                   chunk, age

Fragments of a run are named together, up to MOST_KEYS by one tombstone. See
docs/design/retention.md.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.consistency.manifests import NO_OBJECT
from domain.events import ChunkComplete, Deleted
from domain.retention import REASONS, Footage, Judgement, Policy, Reason
from domain.seqs import SeqRanges

MOST_KEYS = 1_000
"""Keys of one request to S3, and seqs of one tombstone."""
CHUNK_KEYS = 10
"""Keys that a chunk's deletion is taken for when deletions are put together."""


@dataclass(frozen=True, slots=True)
class ChunkKept:
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
    footage: Footage

    def left_out(self) -> SeqRanges:
        """Return the fragments left out for unusable bytes that start in the chunk's own window."""
        end_ms = self.window_start_ms + self.window_ms
        return SeqRanges.of(
            gap["first_seq"]
            for gap in self.gaps
            if gap["first_seq"] == gap["last_seq"]
            and gap["reason"] not in NO_OBJECT
            and self.window_start_ms <= gap["from_ms"] < end_ms
        )


@dataclass(frozen=True, slots=True)
class FragmentKept:
    """A fragment that no chunk holds."""

    run: str
    seq: int
    size_bytes: int
    footage: Footage


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk of which something may go, as S3 has it."""

    chunk: ChunkKept
    judgement: Judgement
    older: tuple[ChunkComplete, ...] = ()
    """Its lower revisions that stand."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """One decided deletion; `what` fragments: first to last seq, chunk: window and digest."""

    camera: str
    run: str
    what: Literal["fragments", "chunk"]
    cause: Reason
    from_ms: int
    to_ms: int
    size_bytes: int
    decided_ms: int
    first_seq: int | None = None
    last_seq: int | None = None
    window_start_ms: int | None = None
    digest: str | None = None
    id: int = 0
    window_ms: int | None = None
    """Of a chunk that others took the place of: while it stands, its address answers."""
    not_before_ms: int = 0
    """Its objects stay until then (UTC)."""

    @property
    def fragments(self) -> range:
        """The seqs it names; none for a chunk's."""
        if self.first_seq is None or self.last_seq is None:
            return range(0)
        return range(self.first_seq, self.last_seq + 1)

    def event(self) -> Deleted:
        """Return the tombstone, the same each time."""
        return Deleted(
            camera=self.camera,
            run=self.run,
            what=self.what,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            window_start_ms=self.window_start_ms,
            digest=self.digest,
            reason=f"retention: {REASONS[self.cause]}",
            deleted_ms=self.decided_ms,
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What of a chunk's present revision goes without the chunk itself."""

    window_start_ms: int
    run: str
    joined: bool
    older: bool


def agreed(
    camera: str,
    candidates: Iterable[Candidate],
    current: Collection[tuple[int, str]],
    policy: Policy,
    now_ms: int,
) -> list[Candidate]:
    """Return what may still go by the rules and holds of now, of chunks that are still current.

    `current` names them by window's start (UTC ms) and run.
    """
    left = []
    for each in candidates:
        if (each.chunk.window_start_ms, each.chunk.run) in current:
            now = policy.judge(camera, each.chunk.footage, now_ms)
            if may_go := each.judgement.may_go & now.may_go:
                left.append(replace(each, judgement=Judgement(may_go)))
    return left


def marks_of(candidates: Iterable[Candidate]) -> list[Mark]:
    """Return what the chunks' rows are to say of what goes."""
    return [
        Mark(
            each.chunk.window_start_ms,
            each.chunk.run,
            joined="joined" in each.judgement.may_go,
            older="superseded" in each.judgement.may_go,
        )
        for each in candidates
    ]


def of_chunks(camera: str, candidates: Iterable[Candidate], now_ms: int) -> list[Deletion]:
    """Return the deletions that chunks come to, decided at `now_ms` (UTC)."""
    whole, seqs, older = [], _Seqs(camera, now_ms), []
    for each in candidates:
        chunk, may_go = each.chunk, each.judgement.may_go
        if "age" in may_go:
            whole.append(_of_chunk(camera, chunk, now_ms))
            left_out = chunk.left_out()
            if chunk.footage.joined_gone < chunk.revision:
                seqs.add("age", chunk, chunk.seqs | left_out)
            elif left_out:
                seqs.add("age", chunk, left_out)
        if "joined" in may_go:
            seqs.add("joined", chunk, chunk.seqs)
        if "superseded" in may_go:
            older += [_of_chunk(camera, chunk, now_ms, "superseded", lower) for lower in each.older]
    return [*whole, *seqs.deletions(), *older]


def _of_chunk(
    camera: str,
    chunk: ChunkKept,
    now_ms: int,
    cause: Reason = "age",
    lower: ChunkComplete | None = None,
) -> Deletion:
    """Return the deletion of a lower revision, or of the chunk: its tombstone names them all."""
    return Deletion(
        *(camera, chunk.run, "chunk", cause, chunk.footage.from_ms, chunk.footage.to_ms),
        *((lower or chunk).size_bytes, now_ms),
        window_start_ms=chunk.window_start_ms,
        digest=lower.digest if lower else None,
    )


def of_fragments(camera: str, rows: Iterable[FragmentKept], now_ms: int) -> list[Deletion]:
    """Return the deletions of fragments that no chunk holds and that are too old."""
    seqs = _Seqs(camera, now_ms)
    for row in rows:
        seqs.add("age", row, SeqRanges.of([row.seq]))
    return list(seqs.deletions())


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


def batches(deletions: Sequence[Deletion]) -> Iterator[list[Deletion]]:
    """Yield deletions together that name at most MOST_KEYS fragments, or 100 chunks."""
    batch: list[Deletion] = []
    keys = 0
    for each in deletions:
        many = len(each.fragments) or CHUNK_KEYS
        if batch and keys + many > MOST_KEYS:
            yield batch
            batch, keys = [], 0
        batch.append(each)
        keys += many
    if batch:
        yield batch
