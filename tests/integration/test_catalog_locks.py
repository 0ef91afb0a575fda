"""A query without a time locks few days: PostgreSQL has one lock table for the whole server."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.deletions import RevisionMark
from domain.events import Deleted, RunEnded
from domain.retention import RetentionPolicy
from domain.seqs import SeqRanges
from stores.catalog import (
    Catalog,
    add_camera,
    index_chunks,
    index_deleted,
    index_fragments,
    index_runs,
    model_replays,
    rechunk,
)
from stores.catalog.cameras import get_camera
from stores.catalog.chunk_days import advance_footage_start
from stores.catalog.inventory import chunk_days, seqs_in_chunks
from stores.catalog.live_sections import live_sections_of
from stores.catalog.model_replays import ModelReplaySpec, ReplayWorkload
from stores.catalog.partitions import drop_empty_partitions, fill_chunk_days
from stores.catalog.playback import (
    frame_at,
    locate_chunk,
    locate_fragment,
    playback_segments,
    run_edges,
)
from stores.catalog.pool import DAY_MS, Connection, lock_cameras
from stores.catalog.retention import (
    deletable_chunks,
    emptied_runs,
    record_tombstones,
    unchanged_chunks,
)
from stores.catalog.schema_copy import restore_deletion_marks
from stores.catalog.timeline import footage_before, reported_gaps
from stores.catalog.tombstones import fragments_in_chunks
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, fresh_catalog, run_id

DAYS = int(os.environ.get("VIGIL_TEST_DAYS", "120"))
"""Each has a table and six indexes."""
MOST_LOCKS = 100


class CountingCatalog(Catalog):
    """Counts the locks that a transaction holds at its end."""

    most = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            yield connection
            held = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
            )
            self.most = max(self.most, held)


@pytest.fixture
async def catalog(services) -> AsyncIterator[CountingCatalog]:
    dsn = services.settings.database_url.get_secret_value()
    async with (
        fresh_catalog(dsn) as made,
        CountingCatalog(made._dsn, size=1) as counting,
    ):
        await add_camera(made, CAMERA, "Gate", T0)
        today = T0 - T0 % DAY_MS
        for first in range(0, DAYS, 50):
            async with made.transaction() as connection:
                for back in range(first, min(first + 50, DAYS)):
                    await connection.execute(
                        "SELECT ensure_day('chunks', $1)", today - back * DAY_MS
                    )
        yield counting


async def test_no_statement_locks_every_day(catalog: CountingCatalog) -> None:
    """A run of some weeks: a chunk each week, and loose fragments now."""
    week = 7 * DAY_MS
    start = T0 - 10 * week
    run = run_id(start)
    weekly = [
        [
            fragment(run, 10 * number + seq, start_ms=start + number * week + 4_000 * seq)
            for seq in range(5)
        ]
        for number in range(10)
    ]
    loose = [fragment(run, 1_000 + seq, start_ms=T0 + 4_000 * seq) for seq in range(3)]
    for each in (*weekly, loose):
        await index_fragments(catalog, each, T0)
    chunks = [chunk(each) for each in weekly]
    for event in chunks:
        await index_chunks(catalog, [event], T0)
    for _ in range(8):  # a prepared statement may get another plan from the sixth time on
        for number, event in enumerate(chunks):
            found = await locate_fragment(catalog, CAMERA, run, 10 * number + 3)
            assert found is not None
            assert found.key == event.object_key
        assert await locate_fragment(catalog, CAMERA, run, 1_002)
        assert await locate_fragment(catalog, CAMERA, run, 99) is None
        assert await locate_fragment(catalog, CAMERA, run_id(seed=9), 0) is None
        first = chunks[0]
        assert await locate_chunk(catalog, CAMERA, run, first.window_start_ms, first.digest)
        assert await footage_before(catalog, CAMERA, T0 - week) == chunks[8].end_ms
        assert await footage_before(catalog, CAMERA, start) is None
        assert len(await playback_segments(catalog, CAMERA, T0, T0 + 60_000)) == 3
        assert await live_sections_of(catalog, CAMERA)
        await frame_at(catalog, CAMERA, T0)
        await reported_gaps(catalog, CAMERA, T0 - 60_000, T0)
        await run_edges(catalog, CAMERA, [run])
        await get_camera(catalog, CAMERA, T0)
        await index_fragments(catalog, loose, T0)
        await index_chunks(catalog, chunks[:1], T0)
    held = [each async for each in fragments_in_chunks(catalog, CAMERA, run, SeqRanges([(0, 29)]))]
    assert [each.seq for each in held] == [
        10 * number + seq for number in range(3) for seq in range(5)
    ]
    found_seqs = (await seqs_in_chunks(catalog, CAMERA, [run]))[run].seqs
    assert found_seqs == SeqRanges((10 * number, 10 * number + 4) for number in range(10))
    assert len(await chunk_days(catalog, CAMERA, 0, 1 << 47)) == 10
    gone = Deleted(
        camera=CAMERA, run=run, what="chunk", window_start_ms=first.window_start_ms,
        reason="age", deleted_ms=T0,
    )  # fmt: skip
    assert await index_deleted(catalog, [gone]) == 1
    assert await locate_fragment(catalog, CAMERA, run, 3) is None
    assert catalog.most <= MOST_LOCKS
    later = run_id(T0, seed=3)
    await index_chunks(catalog, [chunk([fragment(later, 0)])], T0)
    assert list(await seqs_in_chunks(catalog, CAMERA, [later])) == [later]
    assert catalog.most <= MOST_LOCKS


async def test_retention_locks_few_days_and_moves_the_start_of_the_footage(
    catalog: CountingCatalog,
) -> None:
    """A chunk every ten days; of the three oldest, the rows are deleted."""
    start = T0 - 110 * DAY_MS
    run = run_id(start)
    events = [fragment(run, number, start_ms=start + number * 10 * DAY_MS) for number in range(12)]
    for event in events:
        await index_chunks(catalog, [chunk([event])], T0)
    policy = RetentionPolicy()
    pages = [
        page
        async for page in deletable_chunks(catalog, CAMERA, policy, T0 + 2 * DAY_MS, page=1_000)
    ]
    found = [each for page in pages for each in page]
    assert [each.window_start_ms for each in found] == [
        event.start_ms - event.start_ms % 60_000 for event in events
    ]
    for number in range(3):
        gone = Deleted(
            camera=CAMERA, run=run, what="chunk", window_start_ms=found[number].window_start_ms,
            reason="age", deleted_ms=T0,
        )  # fmt: skip
        await index_deleted(catalog, [gone])
    for page in pages[3:]:
        async with catalog.transaction() as connection:
            await lock_cameras(connection, "footage", [CAMERA])
            current = await unchanged_chunks(connection, CAMERA, page)
            assert current == {(each.window_start_ms, run) for each in page}
            marks = [RevisionMark(each.window_start_ms, run, True, True) for each in page]
            await record_tombstones(connection, CAMERA, [], marks)
            await advance_footage_start(connection, CAMERA)
    camera = await get_camera(catalog, CAMERA, T0)
    assert camera is not None
    assert camera.first_ms == events[3].start_ms
    assert len(await chunk_days(catalog, CAMERA, 0, 1 << 47)) == 9
    left = [
        page
        async for page in deletable_chunks(catalog, CAMERA, policy, T0 + 2 * DAY_MS, page=1_000)
    ]
    assert left == [], "all are marked"
    assert catalog.most <= MOST_LOCKS


async def test_replays_and_fsck_lock_few_days(catalog: CountingCatalog) -> None:
    """A chunk every three days. Their fragments' own objects were deleted."""
    start = T0 - T0 % DAY_MS - 117 * DAY_MS
    run, other = run_id(start), run_id(start, seed=5)
    events = [fragment(run, at, start_ms=start + at * 3 * DAY_MS) for at in range(40)]
    for event in events:
        await index_chunks(catalog, [chunk([event])], T0)
    span = CAMERA, start, T0 + DAY_MS
    assert await rechunk.window_lengths(catalog, *span) == {60_000}
    assert await rechunk.count_chunks(catalog, *span) == 40
    assert await rechunk.count_chunks(catalog, CAMERA, start + 1, T0 + DAY_MS) == 39
    assert await rechunk.first_window(catalog, *span) == start
    assert await rechunk.first_window(catalog, CAMERA, start + 1, T0) == start + 3 * DAY_MS
    spec = ModelReplaySpec(("people", "2"), start, T0 + DAY_MS, None, gated=False)
    [replay] = await model_replays.begin(catalog, [CAMERA], spec, "Ann", T0)
    assert await model_replays.workload(catalog, *span, replay.id) == ReplayWorkload(40, 0, 0)
    last, seen = None, []
    while page := await model_replays.next_chunks(catalog, replay, last, 7):
        last = page[-1]
        seen += [each.window_start_ms for each in page]
    assert seen == [event.start_ms for event in events]
    gone = {"camera": CAMERA, "reason": "age", "deleted_ms": T0}
    await index_deleted(catalog, [Deleted(run=run, what="fragments", **gone)])
    await restore_deletion_marks(catalog, CAMERA, pending_known=True)
    assert catalog.most <= MOST_LOCKS
    ends = [
        RunEnded(camera=CAMERA, run=each, ended_ms=T0, last_seq=39, reason="closed")
        for each in (run, other)
    ]
    await index_runs(catalog, ends)

    async def emptied() -> list[str]:
        async with catalog.transaction() as connection:
            found = await emptied_runs(connection, CAMERA, [run, other], T0 + 1)
            return [each for each, _, _ in found]

    assert await emptied() == [other]
    newest = events[39].start_ms
    await index_deleted(catalog, [Deleted(run=run, what="chunk", window_start_ms=newest, **gone)])
    assert len(await chunk_days(catalog, CAMERA, 0, 1 << 47)) == 39
    assert await emptied() == [other]
    await index_deleted(catalog, [Deleted(run=run, what="chunk", **gone)])
    assert await chunk_days(catalog, CAMERA, 0, 1 << 47) == []
    assert sorted(await emptied()) == sorted([run, other])
    assert await rechunk.count_chunks(catalog, *span) == 0
    assert catalog.most <= MOST_LOCKS


async def test_days_of_an_older_version_are_added_and_dropped_ones_removed(
    catalog: CountingCatalog,
) -> None:
    run = run_id()
    events = [fragment(run, seq) for seq in range(5)]
    await index_chunks(catalog, [chunk(events)], T0)
    async with catalog.transaction() as connection:
        await connection.execute("DELETE FROM chunk_days")
    assert await locate_fragment(catalog, CAMERA, run, 3) is None
    await fill_chunk_days(catalog)
    assert await locate_fragment(catalog, CAMERA, run, 3) is not None
    async with catalog.transaction() as connection:
        await connection.execute("DELETE FROM chunks")
    assert await drop_empty_partitions(catalog, T0 + 2 * DAY_MS) == DAYS
    async with catalog.transaction() as connection:
        assert await connection.fetchval("SELECT count(*) FROM chunk_days") == 0
