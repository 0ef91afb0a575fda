"""Gaps of chunks that other chunks have filled: their fragments came late, for another window.

A gap between two windows is reported by the later one. A fragment that fills it may belong to the
earlier window. Then the earlier chunk holds it, and the later chunk still reports it as missing.
"""

from collections.abc import Sequence
from uuid import UUID

from domain.events import ChunkComplete
from domain.seqs import SeqRanges
from stores.catalog.intervals import multirange
from stores.catalog.inventory import chunk_rows
from stores.catalog.pool import DAY_MS, Catalog


async def chunks_with_filled_gaps(catalog: Catalog, chunk: ChunkComplete) -> list[ChunkComplete]:
    """Return the current chunks of the run whose gaps are filled: by `chunk`, or in `chunk`."""
    day_ms = chunk.window_start_ms - chunk.window_start_ms % DAY_MS
    missing = SeqRanges((gap.first_seq, gap.last_seq) for gap in chunk.gaps)
    held = SeqRanges.of(each.seq for each in chunk.fragments)
    run = UUID(chunk.run)
    neighbours = await catalog.row("neighbour_days", chunk.camera, run, day_ms)
    assert neighbours is not None
    days = {day_ms, *(each for each in neighbours.values() if each is not None)}
    found: list[ChunkComplete] = []
    for day in sorted(days):
        rows = await catalog.rows(
            "filled_gaps",
            chunk.camera,
            run,
            day,
            day + DAY_MS,
            chunk.window_start_ms,
            _text(held),
            _text(missing),
        )
        for row in rows:
            found += await _current(catalog, chunk, row["window_start_ms"])
    return list({each.window_start_ms: each for each in found}.values())


async def _current(catalog: Catalog, chunk: ChunkComplete, start_ms: int) -> list[ChunkComplete]:
    rows = await chunk_rows(catalog, chunk.camera, start_ms, start_ms + 1)
    return [each.chunk for each in rows if each.chunk is not None and each.id.run == chunk.run]


def _text(seqs: SeqRanges) -> str:
    return multirange((first, last + 1) for first, last in seqs.ranges)


def may_concern_gaps(chunks: Sequence[ChunkComplete]) -> list[ChunkComplete]:
    """Return the chunks that may fill gaps of others, or whose own gaps may be filled."""
    return [each for each in chunks if each.gaps or each.reason == "late" or each.revision > 1]
