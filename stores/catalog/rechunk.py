"""Replace the chunks of a time range by others with the same fragments, in one transaction.

Under the camera's lock it deletes the old rows and adds their tombstones and pending deletions.
It also adds the new rows and saves the replay's bookmark. So no reader sees a fragment twice or
not at all.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from domain.chunks import digest_of
from domain.deletions import ChunkDeletion, Deletion
from domain.errors import StoreError
from domain.events import ChunkComplete, ChunkDue
from domain.rechunk import ExistingWindow
from stores.catalog.bookmarks import write_bookmark
from stores.catalog.chunk_days import chunk_day_ranges
from stores.catalog.index import store_tombstones, upsert_chunks
from stores.catalog.inventory import seqs_of
from stores.catalog.pool import Catalog, Connection, lock_cameras, sql
from stores.catalog.retention import deletion_rows

HOUR_MS = 3_600_000
"""A window is not longer."""
ChunkName = tuple[str, int, int, str]
"""run, window's start, revision, digest"""


async def window_lengths(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> set[int]:
    """Return the lengths (ms) of the windows that have chunks in a time range."""
    found: set[int] = set()
    for span in await chunk_day_ranges(catalog, camera, from_ms=from_ms - HOUR_MS, to_ms=to_ms):
        rows = await catalog.rows("window_lengths", camera, from_ms, to_ms, *span)
        found |= {row["window_ms"] for row in rows}
    return found


async def first_window(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> int | None:
    """Return the start of the first window with a chunk in [from, to)."""
    for span in await chunk_day_ranges(catalog, camera, from_ms=from_ms, to_ms=to_ms):
        row = await catalog.row("windows_of_days", camera, *_both(span, from_ms, to_ms))
        if row is not None and row["chunks"]:
            return int(row["first_ms"])
    return None


async def count_chunks(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> int:
    """Return how many chunks have windows that start in [from, to)."""
    count = 0
    for span in await chunk_day_ranges(catalog, camera, from_ms=from_ms, to_ms=to_ms):
        row = await catalog.row("windows_of_days", camera, *_both(span, from_ms, to_ms))
        assert row is not None
        count += row["chunks"]
    return count


def _both(span: tuple[int, int], from_ms: int, to_ms: int) -> tuple[int, int]:
    return max(span[0], from_ms), min(span[1], to_ms)


async def has_waiting_fragments(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> bool:
    """Return whether a fragment of [from, to) waits for its chunk: the stream will join it."""
    row = await catalog.row("waiting_fragments", camera, from_ms, to_ms)
    return bool(row and row["waiting"])


async def chunks_of_other_length(catalog: Catalog, due: ChunkDue) -> list[ExistingWindow]:
    """Return the run's current chunks that overlap a window and have another length."""
    window = due.window_start_ms, due.window_ms
    rows = await catalog.rows("chunks_of_other_length", due.camera, UUID(due.run), *window)
    return [
        ExistingWindow(row["window_start_ms"], row["window_ms"], seqs_of(row["seqs"]))
        for row in rows
    ]


async def any_deleted(catalog: Catalog, camera: str, made: Sequence[ChunkDue]) -> bool:
    """Return whether one of these chunks was deleted before: then it cannot come back."""
    given = [
        {
            "run": due.run,
            "window_start_ms": due.window_start_ms,
            "digest": digest_of(due.camera, due.run, due.fragments),
        }
        for due in made
    ]
    row = await catalog.row("any_chunk_deleted", camera, given)
    return bool(row and row["deleted"])


def chunk_name(chunk: ChunkComplete) -> ChunkName:
    """Return what identifies a chunk in the catalog."""
    return chunk.run, chunk.window_start_ms, chunk.revision, chunk.digest


async def replace_chunks(
    catalog: Catalog,
    span: tuple[str, int, int],
    seen: Sequence[ChunkComplete],
    old: Sequence[ChunkComplete],
    new: Sequence[ChunkComplete],
    *,
    now_ms: int,
    not_before_ms: int,
    bookmark: tuple[str, dict[str, Any]],
) -> list[Deletion] | None:
    """Replace the chunks `old` by `new` in a span (camera, from, to) whose chunks were `seen`.

    Returns the deletions of the old chunks. Returns None and changes nothing where the chunks are
    no longer those `seen`, or a fragment of the span waits for its chunk. Objects are kept at least
    until `not_before_ms` (UTC).
    """
    camera, from_ms, to_ms = span
    deletions = [_deletion(chunk, now_ms, not_before_ms) for chunk in old]

    async def work(connection: Connection) -> list[Deletion] | None:
        await lock_cameras(connection, "footage", [camera])
        rows = await connection.fetch(sql("current_chunks"), camera, from_ms, to_ms)
        current = {(r["run"], r["window_start_ms"], r["revision"], r["digest"]) for r in rows}
        waiting = await connection.fetchval(sql("waiting_fragments"), camera, from_ms, to_ms)
        if waiting or current != {chunk_name(chunk) for chunk in seen}:
            return None
        await connection.execute(sql("add_deletions"), deletion_rows(deletions))
        await store_tombstones(connection, [each.event() for each in deletions])
        stored = await upsert_chunks(connection, new, now_ms)
        if stored != len(new):
            raise StoreError(
                f"{camera}: only {stored} of {len(new)} new chunks can be stored. "
                "Nothing was changed; try again."
            )
        await write_bookmark(connection, *bookmark)
        return deletions

    return await catalog.write_days({"chunks": [chunk.window_start_ms for chunk in new]}, work)


def _deletion(chunk: ChunkComplete, now_ms: int, not_before_ms: int) -> Deletion:
    return ChunkDeletion(
        camera=chunk.camera,
        run=chunk.run,
        cause="superseded",
        from_ms=min(chunk.start_ms, chunk.window_start_ms),
        to_ms=max(chunk.end_ms, chunk.window_start_ms + chunk.window_ms),
        size_bytes=chunk.size_bytes,
        decided_ms=now_ms,
        window_start_ms=chunk.window_start_ms,
        digest=chunk.digest,
        window_ms=chunk.window_ms,
        not_before_ms=not_before_ms,
    )
