"""The writes of the index agent. Each function is one transaction, and all are idempotent.

fragment-arrived ──► fragments ┐  A fragment is in one of the two tables, never in both: both
chunk-complete ────► chunks ◄──┘  writers hold the camera's footage lock during a transaction.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import UUID

from domain.events import (
    ChunkComplete,
    Deleted,
    Detection,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
    WindowLost,
)
from domain.identity import run_started_ms
from domain.seqs import SeqRanges
from stores.catalog.chunk_days import delete_tombstoned_chunks
from stores.catalog.intervals import merge, multirange
from stores.catalog.live_sections import update_live_sections
from stores.catalog.pool import DAY_MS, Catalog, Connection, lock_cameras, sql, to_json

T = TypeVar("T")
_FOOTAGE = "footage"


async def index_fragments(catalog: Catalog, events: Sequence[FragmentArrived], now_ms: int) -> int:
    """Make fragments playable, except those in a chunk and deleted ones; return how many."""
    if not events:
        return 0
    async with catalog.transaction() as connection:
        await lock_cameras(connection, _FOOTAGE, (event.camera for event in events))
        return await _insert_fragments(connection, events, now_ms)


async def _insert_fragments(
    connection: Connection, events: Sequence[FragmentArrived], now_ms: int
) -> int:
    stored = 0
    for day in _days(events, lambda event: event.start_ms):
        first_ms, last_ms = day[0].start_ms, day[-1].start_ms
        stored += await connection.fetchval(
            sql("index_fragments"), _json_list(day), now_ms, first_ms, last_ms
        )
    await update_live_sections(connection, events, now_ms)
    return stored


def _days(events: Sequence[T], time_of: Callable[[T], int]) -> list[list[T]]:
    """Return events by UTC day, sorted by time.

    A statement about few days locks few partitions. Without bounds it locks each day that exists.
    """
    ordered = sorted(events, key=time_of)
    return [list(day) for _, day in groupby(ordered, key=lambda event: time_of(event) // DAY_MS)]


async def differing_fragments(
    catalog: Catalog, events: Sequence[FragmentArrived]
) -> list[FragmentArrived]:
    """Return the events whose fragment has a row with another SHA-256, time or size of pictures."""
    ids = {(event.camera, event.run, event.seq): event for event in events}
    columns = [list(column) for column in zip(*ids, strict=True)]
    rows = await catalog.rows("fragment_facts", *columns) if ids else []
    known = {tuple(row)[:3]: tuple(row)[3:] for row in rows}
    return [
        event
        for event in events
        if known.get((event.camera, event.run, event.seq), _facts(event)) != _facts(event)
    ]


def _facts(event: FragmentArrived) -> tuple[object, ...]:
    times = (event.start_ms, event.end_ms, event.start_pts)
    return (
        event.sha256,
        *times,
        event.video_codec,
        event.audio_codec,
        event.width,
        event.height,
    )


async def replace_fragments(
    catalog: Catalog, events: Sequence[FragmentArrived], now_ms: int
) -> int:
    """Put these fragments in place of the rows under their ids; return how many are playable."""
    if not events:
        return 0
    async with catalog.transaction() as connection:
        await lock_cameras(connection, _FOOTAGE, (event.camera for event in events))
        for event in events:
            await connection.execute(
                sql("delete_fragment_rows"), event.camera, UUID(event.run), [event.seq]
            )
        return await _insert_fragments(connection, events, now_ms)


def _json_list(events: Sequence[FragmentArrived]) -> str:
    """Return events as a JSON list; none of their strings can hold a NUL character."""
    return f"[{','.join([event.model_dump_json(exclude_none=True) for event in events])}]"


async def index_chunks(catalog: Catalog, events: Sequence[ChunkComplete], now_ms: int) -> int:
    """Let chunks replace their fragments and lower revisions; return how many are stored.

    A chunk whose fragments are in windows of another length is not stored: see
    docs/design/replay.md.
    """
    stored = 0
    for batch in _batches_of_one_length(events):
        stored += await _index_chunks(catalog, batch, now_ms)
    return stored


def _batches_of_one_length(events: Sequence[ChunkComplete]) -> Iterator[list[ChunkComplete]]:
    """Yield batches in order. In a batch, all windows of a run have the same length.

    One statement cannot see the rows that it writes, so two lengths need two statements.
    """
    batch: list[ChunkComplete] = []
    lengths: dict[tuple[str, str], int] = {}
    for event in events:
        if lengths.setdefault((event.camera, event.run), event.window_ms) != event.window_ms:
            yield batch
            batch, lengths = [], {(event.camera, event.run): event.window_ms}
        batch.append(event)
    if batch:
        yield batch


async def _index_chunks(catalog: Catalog, events: Sequence[ChunkComplete], now_ms: int) -> int:
    newest: dict[tuple[str, int, str], ChunkComplete] = {}
    for event in events:
        key = event.camera, event.window_start_ms, event.run
        if key not in newest or event.revision > newest[key].revision:
            newest[key] = event

    async def work(connection: Connection) -> int:
        await lock_cameras(connection, _FOOTAGE, (camera for camera, _, _ in newest))
        return await upsert_chunks(connection, list(newest.values()), now_ms)

    return await catalog.write_days({"chunks": [at for _, at, _ in newest]}, work)


async def upsert_chunks(
    connection: Connection, events: Sequence[ChunkComplete], now_ms: int
) -> int:
    """Write chunks, one for each run and window; return how many. The caller holds the lock."""
    stored = 0
    for day in _days(events, lambda event: event.window_start_ms):
        first_ms, last_ms = day[0].window_start_ms, day[-1].window_start_ms
        given = [_chunk_row(event) for event in day]
        stored += await connection.fetchval(sql("index_chunks"), given, now_ms, first_ms, last_ms)
    return stored


def _chunk_row(event: ChunkComplete) -> dict[str, Any]:
    row = event.model_dump(mode="json") | derived_columns(event)
    for each in row["fragments"]:
        if each["form"] is None:
            del each["form"]
    return row


def derived_columns(event: ChunkComplete) -> dict[str, Any]:
    """Return the columns that a chunk's row has beyond the event; multiranges as text."""
    covered = merge((f.start_ms, f.start_ms + f.duration_ms) for f in event.fragments)
    seqs = SeqRanges.of(fragment.seq for fragment in event.fragments)
    gaps = SeqRanges(
        (min(gap.first_seq, gap.last_seq), max(gap.first_seq, gap.last_seq)) for gap in event.gaps
    )
    return {
        "seqs": _seq_multirange(seqs),
        "settled": _seq_multirange(seqs | gaps),
        "covered": multirange(covered),
        "whole": covered == [(event.start_ms, event.end_ms)],
    }


def _seq_multirange(seqs: SeqRanges) -> str:
    return multirange((first, last + 1) for first, last in seqs.ranges)


async def index_runs(catalog: Catalog, events: Sequence[RunStarted | RunEnded]) -> int:
    """Store when runs started and how they ended. Either event may come first or alone.

    Returns how many rows changed.
    """
    starts = {(e.camera, e.run): e for e in events if isinstance(e, RunStarted)}
    ends = {(e.camera, e.run): e for e in events if isinstance(e, RunEnded)}
    ended = [
        end.model_dump(mode="json")
        | {
            "started_ms": run_started_ms(end.run),
            "given_up": _seq_multirange(SeqRanges(end.given_up)),
        }
        for end in ends.values()
    ]
    if not starts and not ended:
        return 0
    async with catalog.transaction() as connection:
        await lock_cameras(connection, _FOOTAGE, (camera for camera, _ in starts | ends))
        given = to_json(list(starts.values()))
        started = await connection.execute(sql("index_run_starts"), given)
        finished = await connection.execute(sql("index_run_ends"), ended)
        return _written(started) + _written(finished)


def _written(status: str) -> int:
    """Return the number of rows in PostgreSQL's command tag, such as `INSERT 0 7`."""
    return int(status.rsplit(" ", 1)[1])


async def index_detections(
    catalog: Catalog, events: Sequence[Detection], now_ms: int | None = None
) -> int:
    """Add detected objects and their counts by minute; return how many were new.

    Skips objects of a dropped replay, and objects that retention deleted. With `now_ms`, streams
    show new objects, except those of replays.
    """
    # Apart, since streams show only one of the two.
    both = (
        (_detection_columns([each for each in events if each.replay is None]), now_ms),
        (_detection_columns([each for each in events if each.replay is not None]), None),
    )
    groups = tuple((columns, shown_ms) for columns, shown_ms in both if columns)
    if not groups:
        return 0
    cameras = {camera for columns, _ in groups for camera in columns[0]}
    times = {at_ms for columns, _ in groups for at_ms in columns[3]}

    async def work(connection: Connection) -> int:
        await lock_cameras(connection, "detections", cameras)
        new = 0
        for columns, shown_ms in groups:
            new += await connection.fetchval(sql("index_detections"), *columns, shown_ms)
        return new

    return await catalog.write_days({"detections": times, "detection_minutes": times}, work)


def _detection_columns(events: Sequence[Detection]) -> list[list[Any]]:
    """Return the columns of all objects; an empty list where there is none."""
    rows = [
        (
            *(event.camera, UUID(event.run), frame.pts, frame.at_ms),
            *(event.model, event.model_version, index),
            *(_text(found.label), found.score, *found.box, found.track and _text(found.track)),
            event.replay,
        )
        for event in events
        for frame in event.frames
        for index, found in enumerate(frame.objects)
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _text(given: str) -> str:
    """Return text without NUL characters: PostgreSQL cannot store them."""
    return given.replace("\0", "")


async def index_heartbeats(catalog: Catalog, events: Sequence[Heartbeat], now_ms: int) -> int:
    """Keep the newest heartbeat of each edge; return how many edges have a newer one now."""
    newest: dict[tuple[str, str], Heartbeat] = {}
    for event in sorted(events, key=lambda heartbeat: heartbeat.sent_ms):
        newest[event.site, event.edge] = event
    if not newest:
        return 0
    async with catalog.transaction() as connection:
        given = to_json(list(newest.values()))
        return _written(await connection.execute(sql("index_heartbeats"), given, now_ms))


async def index_deleted(catalog: Catalog, events: Sequence[Deleted]) -> int:
    """Add tombstones and delete the rows that they name. Tombstones keep them from coming back.

    Returns how many tombstones are new.
    """
    if not events:
        return 0
    async with catalog.transaction() as connection:
        await lock_cameras(connection, _FOOTAGE, (event.camera for event in events))
        added = await store_tombstones(connection, events)
    for camera, run in {(event.camera, event.run) for event in events if _is_of_all_days(event)}:
        await delete_tombstoned_chunks(catalog, camera, [UUID(run)])
    return added


def _is_of_all_days(event: Deleted) -> bool:
    """Whether it names chunks of a run at any time."""
    return event.what == "chunk" and event.window_start_ms is None


async def store_tombstones(connection: Connection, events: Sequence[Deleted]) -> int:
    """Add tombstones and delete the rows that they name; return how many are new.

    The caller holds the footage lock. Chunks of one day at a time: few partitions are locked. Rows
    of chunks of any day are left: see `delete_tombstoned_chunks`.
    """
    days: dict[int | None, list[Deleted]] = {}
    for event in events:
        start_ms = event.window_start_ms
        names_day = event.what == "chunk" and start_ms is not None
        days.setdefault(start_ms // DAY_MS if names_day and start_ms else None, []).append(event)
    added = 0
    for day, given in days.items():
        bounds = (1, 0) if day is None else (day * DAY_MS, (day + 1) * DAY_MS - 1)
        added += _written(
            await connection.execute(sql("index_tombstones"), to_json(given), *bounds)
        )
        if day is not None:
            for camera in sorted({event.camera for event in given}):
                runs = [UUID(event.run) for event in given if event.camera == camera]
                within = (day * DAY_MS, (day + 1) * DAY_MS)
                await connection.execute(sql("delete_empty_run_days"), camera, runs, *within)
    return added


async def index_lost(catalog: Catalog, events: Sequence[WindowLost], now_ms: int) -> int:
    """Store lost windows and remove the rows of their fragments; return how many were new."""
    if not events:
        return 0
    rows = []
    for event in events:
        seqs = SeqRanges((gap.first_seq, gap.last_seq) for gap in event.gaps)
        rows.append(
            event.model_dump(mode="json")
            | {"first_seq": event.gaps[0].first_seq, "seqs": _seq_multirange(seqs)}
        )
    async with catalog.transaction() as connection:
        await lock_cameras(connection, _FOOTAGE, (event.camera for event in events))
        return int(await connection.fetchval(sql("index_lost"), rows, now_ms))
