"""Tombstones of footage that was deleted on purpose, and fragments that chunks hold."""

from collections.abc import AsyncIterator
from uuid import UUID

from domain.events import FragmentArrived
from domain.seqs import SeqRanges
from stores.catalog.intervals import multirange
from stores.catalog.inventory import deleted_fragments
from stores.catalog.pool import Catalog

PAGE = 2_000
FOREVER_MS = 1 << 48


async def deleted_seqs(catalog: Catalog, camera: str, run: str) -> SeqRanges:
    """Return the seqs of a run that were deleted on purpose."""
    found = await deleted_fragments(catalog, camera, [run], FOREVER_MS)
    deleted, pending = found.get(run, (SeqRanges(), SeqRanges()))
    return deleted | pending


async def window_deleted(catalog: Catalog, camera: str, run: str, window_start_ms: int) -> bool:
    """Return whether a run's chunk of a window was deleted in all revisions."""
    row = await catalog.row("window_deleted", camera, UUID(run), window_start_ms)
    return bool(row and row["deleted"])


async def fragments_in_chunks(
    catalog: Catalog, camera: str, run: str, seqs: SeqRanges
) -> AsyncIterator[FragmentArrived]:
    """Yield those of the seqs that current chunks hold, as events of their fragments.

    The catalog does not store when they arrived: the events have start and end instead.
    """
    if not seqs:
        return
    wanted = multirange((first, last + 1) for first, last in seqs.ranges)
    yielded: set[int] = set()
    for day in await catalog.rows("chunk_days_of", camera, UUID(run), wanted):
        after = -1
        while True:
            rows = await catalog.rows(
                "fragments_in_chunks", camera, UUID(run), wanted, after, PAGE, day["day_ms"]
            )
            for row in rows:
                fields = dict(row)
                fields |= {
                    "arrived_ms": row["start_ms"],
                    "closed_ms": row["start_ms"] + row["duration_ms"],
                }
                after = row["seq"]
                if after not in yielded:  # a seq in two chunks is yielded once
                    yielded.add(after)
                    yield FragmentArrived(camera=camera, run=run, **fields)
            if len(rows) < PAGE:
                break
