"""The table of footage by camera and day is right whatever changes chunks, and for older chunks."""

from collections.abc import AsyncIterator

import pytest

from domain.events import Deleted
from domain.retention import DAY_MS
from stores.catalog import Catalog, add_camera, index_chunks, index_deleted, index_fragments
from stores.catalog.footage_days import recorded_of_cameras, stored_by_day, stored_by_site
from stores.catalog.partitions import drop_empty_partitions, fill_footage_days
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, fresh_catalog, run_id

TODAY = T0 - T0 % DAY_MS
OTHER = "acme/mill/door"
COUNTED = """
SELECT camera, window_start_ms - window_start_ms % 86400000 AS day_ms, count(*) AS chunks,
    sum(jsonb_array_length(fragments))::bigint AS fragments, sum(size_bytes)::bigint AS size_bytes,
    sum(covered_ms(covered))::bigint AS recorded_ms
FROM chunks GROUP BY 1, 2 ORDER BY 1, 2
"""
KEPT = """
SELECT camera, day_ms, chunks, fragments, size_bytes, recorded_ms FROM footage_days ORDER BY 1, 2
"""


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as made:
        await add_camera(made, CAMERA, "Gate", T0)
        await add_camera(made, OTHER, "Door", T0)
        yield made


async def check(catalog: Catalog, days: int) -> None:
    """Compare the table with what the chunks say; `days`: of all cameras together."""
    async with catalog.transaction() as connection:
        counted = [tuple(row) for row in await connection.fetch(COUNTED)]
        assert [tuple(row) for row in await connection.fetch(KEPT)] == counted
    assert len(counted) == days


def joined(camera: str, start_ms: int, *, count: int = 15, revision: int = 1, seed: int = 0):
    run = run_id(start_ms, seed=seed)
    parts = [
        fragment(run, seq, camera=camera, start_ms=start_ms + 4_000 * seq) for seq in range(count)
    ]
    return chunk(parts, revision=revision)


async def test_every_change_of_chunks_is_counted(catalog: Catalog) -> None:
    hours = [TODAY - DAY_MS * 2 + 3_600_000 * at for at in range(0, 72, 9)]
    events = [joined(camera, at, count=5) for camera in (CAMERA, OTHER) for at in hours]
    await index_chunks(catalog, events, T0)
    await check(catalog, 6)

    await index_chunks(catalog, events, T0)  # again: nothing is new
    newer = joined(CAMERA, hours[0], count=7, revision=2)
    await index_chunks(catalog, [newer, joined(OTHER, TODAY - 9 * DAY_MS)], T0)
    await check(catalog, 7)

    for each in events[:3]:
        gone = Deleted(
            camera=CAMERA, run=each.run, what="chunk", window_start_ms=each.window_start_ms,
            reason="age", deleted_ms=T0,
        )  # fmt: skip
        await index_deleted(catalog, [gone])
    await check(catalog, 6)  # the first day of the camera is empty, and has no row

    async with catalog.transaction() as connection:
        await connection.execute("DELETE FROM chunks WHERE camera = $1", OTHER)
    await check(catalog, 2)
    await drop_empty_partitions(catalog, T0)
    await check(catalog, 2)


async def test_chunks_of_before_are_counted_once_while_others_arrive(catalog: Catalog) -> None:
    """As after the migration: old partitions are not counted yet, and writers add to them."""
    old = [joined(CAMERA, TODAY - DAY_MS), joined(CAMERA, TODAY, seed=1)]
    await index_chunks(catalog, old, T0)
    async with catalog.transaction() as connection:
        await connection.execute("DELETE FROM footage_days")
        await connection.execute(
            "INSERT INTO footage_days_to_fill SELECT relname::text FROM pg_inherits "
            "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'chunks'::regclass "
            "UNION ALL VALUES ('chunks_19990101')"  # was dropped since
        )
    await index_chunks(catalog, [joined(OTHER, TODAY)], T0)  # its row has this chunk alone
    await index_chunks(catalog, [joined(CAMERA, TODAY, count=16, revision=2, seed=1)], T0)
    await fill_footage_days(catalog)
    await check(catalog, 3)
    await index_chunks(catalog, [joined(CAMERA, TODAY + 600_000, seed=2)], T0)
    await fill_footage_days(catalog)  # nothing is left to do
    await check(catalog, 3)


async def test_what_is_read_of_it(catalog: Catalog) -> None:
    for day in range(1, 10):
        at_ms = TODAY - day * DAY_MS
        parts = joined(CAMERA, at_ms)
        await index_chunks(catalog, [parts], T0)
    run = run_id(TODAY - 9 * DAY_MS)
    first = fragment(run, 900, start_ms=TODAY - 9 * DAY_MS)
    await index_fragments(catalog, [first], T0)
    size = parts.size_bytes
    [site] = await stored_by_site(catalog, T0)
    assert (site.site, site.cameras, site.size_bytes) == ("acme/hq", 1, 9 * size)
    assert site.recent_bytes == 7 * size
    assert site.oldest_day_ms == TODAY - 9 * DAY_MS
    days = await stored_by_day(catalog, TODAY - 2 * DAY_MS)
    assert [(each.day_ms, each.size_bytes) for each in days] == [
        (TODAY - 2 * DAY_MS, size), (TODAY - DAY_MS, size),
    ]  # fmt: skip
    gate, door = await recorded_of_cameras(catalog, T0)
    assert (gate.camera, gate.days, gate.size_bytes) == (CAMERA, 7, 7 * size)
    assert (gate.recorded_ms, gate.fragments) == (7 * 60_000, 7 * 15)
    assert (door.days, door.size_bytes, door.retention_days) == (0, 0, None)
