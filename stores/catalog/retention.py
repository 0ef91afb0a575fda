"""What may be deleted, and what is being deleted. The table `deletions` survives a crash.

record_tombstones  in one transaction: delete rows, add tombstones and pending deletions
pending_deletions  deletions to publish, whose objects may still exist
without_hold       under the holds' lock: those under no hold. Their objects are deleted now.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, fields
from typing import Any
from uuid import UUID

from domain.audit import BY_SYSTEM
from domain.deletions import (
    ChunkDeletion,
    Deletion,
    FragmentsDeletion,
    RetainedChunk,
    RetainedFragment,
    RevisionMark,
)
from domain.identity import check_camera
from domain.retention import Margins, RetainedFootage, RetentionPolicy
from domain.seqs import SeqRanges
from stores.catalog.audit import write_audit
from stores.catalog.chunk_days import advance_footage_start, chunk_day_ranges
from stores.catalog.index import store_tombstones
from stores.catalog.pool import Catalog, Connection, Row, lock_cameras, sql
from stores.catalog.retention_rules import read_policy

FIRST_RUN = UUID(int=0)


# -- what may be deleted


async def cameras_with_footage(catalog: Catalog) -> list[str]:
    """Return the cameras that have footage or pending deletions, registered or not."""
    return [row["camera"] for row in await catalog.rows("cameras_with_footage")]


async def deletable_chunks(
    catalog: Catalog, camera: str, policy: RetentionPolicy, now_ms: int, page: int
) -> AsyncIterator[list[RetainedChunk]]:
    """Yield pages of chunks that may have objects to delete, oldest first, by the policy."""
    age_ms = policy.age_ms(check_camera(camera))
    for from_ms, to_ms in await chunk_day_ranges(catalog, camera):
        after: tuple[int, UUID] = (-1, FIRST_RUN)
        while True:
            rows = await catalog.rows(
                "deletable_chunks",
                *(camera, None if age_ms is None else now_ms - age_ms),
                *(now_ms - policy.margins.joined_ms, now_ms - policy.margins.superseded_ms),
                *(*after, page, from_ms, to_ms),
            )
            if rows:
                yield [_chunk(row) for row in rows]
            if len(rows) < page:
                break
            after = rows[-1]["window_start_ms"], UUID(rows[-1]["run"])


def _chunk(row: Row) -> RetainedChunk:
    start_ms = row["window_start_ms"]
    return RetainedChunk(
        window_start_ms=start_ms,
        run=row["run"],
        window_ms=row["window_ms"],
        revision=row["revision"],
        digest=row["digest"],
        object_key=row["object_key"],
        size_bytes=row["size_bytes"],
        seqs=SeqRanges((first, last) for first, last in row["seqs"] or ()),
        gaps=tuple(row["gaps"]),
        footage=RetainedFootage(
            from_ms=min(start_ms, row["start_ms"]),
            to_ms=max(start_ms + row["window_ms"], row["end_ms"]),
            revision=row["revision"],
            indexed_ms=row["indexed_ms"],
            joined_gone=row["joined_gone"],
            older_gone=row["older_gone"],
        ),
    )


async def deletable_fragments(
    catalog: Catalog, camera: str, until_ms: int, page: int
) -> AsyncIterator[list[RetainedFragment]]:
    """Yield pages of fragments without a chunk that end at or before `until_ms`, oldest first."""
    after: tuple[int, UUID, int] = (-1, FIRST_RUN, -1)
    while True:
        rows = await catalog.rows("deletable_fragments", camera, until_ms, *after, page)
        if rows:
            yield [
                RetainedFragment(
                    row["run"],
                    row["seq"],
                    row["size_bytes"],
                    RetainedFootage(row["start_ms"], row["end_ms"]),
                )
                for row in rows
            ]
        if len(rows) < page:
            return
        after = rows[-1]["start_ms"], UUID(rows[-1]["run"]), rows[-1]["seq"]


# -- decide and delete


@asynccontextmanager
async def locked_policy(
    catalog: Catalog, camera: str, margins: Margins
) -> AsyncIterator[tuple[Connection, RetentionPolicy]]:
    """Lock the holds (shared) and the camera's footage; yield the current rules and holds."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("share_holds"))
        await lock_cameras(connection, "footage", [camera])
        yield connection, await read_policy(connection, margins)


async def unchanged_chunks(
    connection: Connection, camera: str, chunks: Iterable[RetainedChunk]
) -> set[tuple[int, str]]:
    """Return (window's start, run) of those chunks that are still the current revision."""
    given = [
        {name: getattr(each, name) for name in ("window_start_ms", "run", "revision", "digest")}
        for each in chunks
    ]
    if not given:
        return set()
    starts = [each["window_start_ms"] for each in given]
    rows = await connection.fetch(sql("unchanged_chunks"), camera, given, min(starts), max(starts))
    return {(row["window_start_ms"], row["run"]) for row in rows}


async def record_tombstones(
    connection: Connection,
    camera: str,
    deletions: Sequence[Deletion],
    marks: Sequence[RevisionMark],
) -> None:
    """Delete rows, add tombstones and pending deletions, all in the open transaction.

    The audit log gets an entry where footage is deleted because of its age. What is deleted because
    a chunk or a newer revision has the same footage is not one.
    """
    await connection.execute(sql("add_deletions"), deletion_rows(deletions))
    await store_tombstones(connection, [each.event() for each in deletions])
    if marks:
        starts = [each.window_start_ms for each in marks]
        rows = [asdict(each) for each in marks]
        await connection.execute(sql("mark_objects_gone"), camera, rows, min(starts), max(starts))
    if old := [each for each in deletions if each.cause == "age"]:
        await advance_footage_start(connection, camera)
        after = {
            "deletions": len(old),
            "from_ms": min(each.from_ms for each in old),
            "to_ms": max(each.to_ms for each in old),
            "size_bytes": sum(each.size_bytes for each in old),
        }
        entry = BY_SYSTEM.entry(old[0].decided_ms, "footage:delete", camera, after=after)
        await write_audit(connection, entry)


def deletion_rows(deletions: Iterable[Deletion]) -> list[dict[str, Any]]:
    """Return deletions as rows of the table `deletions`."""
    return [
        {"not_before_ms": 0, **asdict(each)}
        | {"what": "fragments" if isinstance(each, FragmentsDeletion) else "chunk"}
        for each in deletions
    ]


def _deletion(row: Row) -> Deletion:
    """Return the deletion of a row. Each kind leaves the columns of the other empty."""
    values = dict(row)
    kind = FragmentsDeletion if values["what"] == "fragments" else ChunkDeletion
    return kind(**{each.name: values[each.name] for each in fields(kind)})


async def pending_deletions(
    catalog: Catalog, camera: str, now_ms: int, after: int = 0, most: int = 100
) -> list[Deletion]:
    """Return pending deletions with numbers above `after`, in order, at most `most`.

    Without those whose objects must be kept for some time yet.
    """
    rows = await catalog.rows("pending_deletions", camera, after, most, now_ms)
    return [_deletion(row) for row in rows]


@asynccontextmanager
async def without_hold(
    catalog: Catalog, deletions: Sequence[Deletion]
) -> AsyncIterator[tuple[Connection, list[Deletion]]]:
    """Yield the deletions that are under no hold. No hold can be added until the caller is done."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("share_holds"))
        policy = await read_policy(connection, Margins(0, 0))
        yield (
            connection,
            [
                each
                for each in deletions
                if not policy.is_held(each.camera, each.from_ms, each.to_ms)
            ],
        )


async def remove_completed(connection: Connection, deletions: Sequence[Deletion]) -> None:
    """Remove deletions whose objects are deleted."""
    await connection.execute(sql("remove_deletions"), [each.id for each in deletions])


async def emptied_runs(
    connection: Connection, camera: str, runs: Sequence[str], until_ms: int
) -> list[tuple[str, int, int]]:
    """Return the runs that ended before `until_ms` and have no footage left, with start and end."""
    rows = await connection.fetch(
        sql("emptied_runs"), camera, [UUID(run) for run in runs], until_ms
    )
    return [(row["run"], row["started_ms"], row["ended_ms"]) for row in rows]
