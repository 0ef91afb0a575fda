"""The contents of the catalog, for the consistency check and the reconciler."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from domain.consistency import DerivedColumns, IndexedChunk, IndexedFragment, RowId
from domain.consistency.manifests import NO_OBJECT
from domain.events import ChunkComplete
from domain.gaps import BYTES_DIFFER
from domain.seqs import SeqRanges
from stores.catalog.chunk_days import chunk_day_ranges
from stores.catalog.index import derived_columns
from stores.catalog.intervals import parse_multirange
from stores.catalog.pool import Catalog, Row

PAGE = 5_000
_DERIVED = ("seqs", "settled", "covered", "whole")


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run that the catalog knows."""

    run: str
    ended_before: bool
    """It ended before the time in the query."""
    ended: bool


@dataclass(frozen=True, slots=True)
class SeqsInChunks:
    """The seqs of one run: in chunks, settled by chunks, left out because of bad bytes."""

    seqs: SeqRanges
    settled: SeqRanges
    left_out: SeqRanges
    disputed: SeqRanges
    """Those of `left_out` whose bytes differ from their notice."""

    def __or__(self, other: "SeqsInChunks") -> "SeqsInChunks":
        return SeqsInChunks(
            self.seqs | other.seqs,
            self.settled | other.settled,
            self.left_out | other.left_out,
            self.disputed | other.disputed,
        )


@dataclass(frozen=True, slots=True)
class ChunkTombstone:
    """A chunk's tombstone. Without window: the whole run. Without digest: any content."""

    run: str
    window_start_ms: int | None
    digest: str | None
    deleted_ms: int


def derived(chunk: ChunkComplete) -> DerivedColumns:
    """Return the columns that the chunk's row must have beyond the manifest."""
    return _derived(derived_columns(chunk))


def _derived(row: dict[str, Any] | Row) -> DerivedColumns:
    return DerivedColumns(
        parse_multirange(row["seqs"]),
        parse_multirange(row["settled"]),
        parse_multirange(row["covered"]),
        row["whole"],
    )


def seqs_of(multirange: str) -> SeqRanges:
    """Return the seqs of a PostgreSQL multirange, given as text."""
    return SeqRanges((first, end - 1) for first, end in parse_multirange(multirange))


async def chunk_days(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[int]:
    """Return the UTC days (start, ms) that have chunk rows in [from, to)."""
    rows = await catalog.rows("chunk_days", camera, from_ms, to_ms, None)
    return [row["day_ms"] for row in rows]


async def chunk_rows(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[IndexedChunk]:
    """Return the rows of chunks whose window starts in [from, to)."""
    return [_chunk_row(row) for row in await catalog.rows("chunk_rows", camera, from_ms, to_ms)]


def _chunk_row(row: Row) -> IndexedChunk:
    fields = {name: row[name] for name in row.keys() if name not in (*_DERIVED, "indexed_ms")}  # noqa: SIM118
    try:
        names_forms = any(each.get("form") for each in fields["fragments"])
        chunk = ChunkComplete.model_validate(fields | {"version": 2 if names_forms else 1})
    except ValidationError:
        chunk = None
    identity = RowId(row["window_start_ms"], row["run"], row["revision"], row["digest"])
    return IndexedChunk(identity, row["object_key"], chunk, _derived(row), row["indexed_ms"])


async def fragment_rows(catalog: Catalog, camera: str, run: str) -> AsyncIterator[IndexedFragment]:
    """Yield the rows of a run's fragments by seq, a page at a time."""
    after = -1
    while True:
        rows = await catalog.rows("fragment_rows", camera, UUID(run), after, PAGE)
        for row in rows:
            yield IndexedFragment(row["seq"], row["start_ms"], row["indexed_ms"])
        if len(rows) < PAGE:
            return
        after = rows[-1]["seq"]


async def known_runs(catalog: Catalog, camera: str, since_ms: int = 0) -> dict[str, KnownRun]:
    """Return the runs that the catalog knows, by id; see KnownRun for `since_ms`."""
    rows = await catalog.rows("known_runs", camera, since_ms)
    return {row["run"]: KnownRun(row["run"], row["ended_before"], row["ended"]) for row in rows}


async def seqs_in_chunks(
    catalog: Catalog, camera: str, runs: Sequence[str], *, excluding: tuple[int, int] = (0, 0)
) -> dict[str, SeqsInChunks]:
    """Return the seqs of runs in chunks, by run.

    Chunks whose window starts in `excluding` ([from, to), UTC ms) do not count.
    """
    ids = [UUID(run) for run in runs]
    found: dict[str, SeqsInChunks] = {}
    ranges = await chunk_day_ranges(catalog, camera, ids) or [(0, 0)]
    for number, (from_ms, to_ms) in enumerate(ranges):
        rows = await catalog.rows(
            "seqs_in_chunks",
            *(camera, ids, *excluding, sorted(NO_OBJECT)),
            *(from_ms, to_ms, BYTES_DIFFER, number == 0),
        )
        for row in rows:
            part = SeqsInChunks(
                *(seqs_of(row[name]) for name in ("seqs", "settled", "left_out", "disputed"))
            )
            known = found.get(row["run"])
            found[row["run"]] = part if known is None else known | part
    return found


async def seqs_with_rows(
    catalog: Catalog, camera: str, runs: Sequence[str]
) -> dict[str, SeqRanges]:
    """Return for each run the seqs that have a fragment row."""
    rows = await catalog.rows("fragment_seqs_of_runs", camera, [UUID(run) for run in runs])
    return {row["run"]: seqs_of(row["seqs"]) for row in rows}


async def chunk_tombstones(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int
) -> list[ChunkTombstone]:
    """Return the tombstones of chunks whose window starts in [from, to), or is not named."""
    rows = await catalog.rows("chunk_tombstones", camera, from_ms, to_ms)
    return [ChunkTombstone(**dict(row)) for row in rows]


async def deleted_fragments(
    catalog: Catalog, camera: str, runs: Sequence[str], until_ms: int
) -> dict[str, tuple[SeqRanges, SeqRanges]]:
    """Return for each run the seqs deleted up to `until_ms`, and those deleted later or pending."""
    rows = await catalog.rows("fragment_tombstones", camera, [UUID(run) for run in runs], until_ms)
    return {row["run"]: (seqs_of(row["deleted"]), seqs_of(row["pending"])) for row in rows}


async def covering_chunk_deleted(
    catalog: Catalog, camera: str, run: str, start_ms: int, window_ms: int
) -> bool:
    """Return whether the chunk of a fragment's time was deleted, and no other replaced it."""
    row = await catalog.row("covering_chunk_deleted", camera, UUID(run), start_ms, window_ms)
    return bool(row and row["deleted"])


async def footage_extent(catalog: Catalog, camera: str) -> tuple[int, int] | None:
    """Return start and end (UTC ms) of the camera's footage; None without any."""
    row = await catalog.row("footage_extent", camera)
    return None if row is None else (row["first_ms"], row["last_ms"])
