"""The days with chunks: a statement about all footage reads few day partitions at once.

PostgreSQL locks each partition that a statement may read, with its indexes, until the end of the
transaction. There is one lock table for the whole server.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from stores.catalog.pool import DAY_MS, Catalog, Connection, lock_cameras, sql

DAYS_AT_ONCE = 8
"""Partitions that one statement reads: each has about nine locks."""
EMPTY_DAYS_AT_ONCE = 4
FOREVER_MS = 1 << 48


async def chunk_day_ranges(
    catalog: Catalog,
    camera: str,
    runs: Sequence[UUID] | None = None,
    *,
    from_ms: int = 0,
    to_ms: int = FOREVER_MS,
) -> list[tuple[int, int]]:
    """Return the times [from, to) in UTC ms that hold a camera's chunks, each of few days.

    Windows that start in [from_ms, to_ms) are in one of them.
    """
    rows = await catalog.rows("chunk_days", camera, from_ms, to_ms, runs)
    return day_ranges(row["day_ms"] for row in rows)


def day_ranges(days: Iterable[int]) -> list[tuple[int, int]]:
    """Return ranges [from, to) of few days each that contain all `days` (ascending, UTC ms)."""
    ranges: list[tuple[int, int]] = []
    for day in days:
        if ranges and day < ranges[-1][0] + DAYS_AT_ONCE * DAY_MS:
            ranges[-1] = ranges[-1][0], day + DAY_MS
        else:
            ranges.append((day, day + DAY_MS))
    return ranges


async def advance_footage_start(connection: Connection, camera: str) -> None:
    """Move the start of a camera's footage to the oldest that is left.

    Days without chunks are removed from the table chunk_days, some at once: the next call goes on.
    Until then, the footage starts with the day. The caller holds the camera's footage lock.
    """
    oldest_ms: int | None = None
    rows = await connection.fetch(sql("chunk_days"), camera, 0, FOREVER_MS, None)
    days = [row["day_ms"] for row in rows]
    for day_ms in days[:EMPTY_DAYS_AT_ONCE]:
        oldest_ms = await connection.fetchval(sql("oldest_chunk_start"), camera, day_ms)
        if oldest_ms is not None:
            break
        await connection.execute(sql("delete_empty_chunk_day"), camera, day_ms)
    if oldest_ms is None and len(days) > EMPTY_DAYS_AT_ONCE:
        oldest_ms = days[EMPTY_DAYS_AT_ONCE]
    await connection.execute(sql("advance_footage_start"), camera, oldest_ms)


async def delete_tombstoned_chunks(
    catalog: Catalog, camera: str, runs: Sequence[UUID] | None = None
) -> None:
    """Delete the rows of chunks that the camera's tombstones name, a few days at once."""
    for span in await chunk_day_ranges(catalog, camera, runs):
        for statement in (sql("delete_tombstoned_chunks"), sql("delete_empty_run_days")):
            async with catalog.transaction() as connection:
                await lock_cameras(connection, "footage", [camera])
                await connection.execute(statement, camera, runs, *span)
