"""The query plans that find what is shown, and minutes that the migration counts again."""

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from domain.spans import Spans
from stores.catalog import Catalog, alembic_runner, index_chunks, migrate
from stores.catalog.model_filter import resolve_filter
from stores.catalog.model_replays import (
    ModelReplaySpec,
    begin,
    mark_analysed,
    next_chunks,
    set_state,
)
from stores.catalog.pool import sql
from tests.integration.catalog_support import (
    CAMERA,
    T0,
    chunk,
    fragment,
    fresh_catalog,
    fresh_database,
    run_id,
)

DAY_MS = 86_400_000
MINUTE_MS = 60_000
DAY0 = T0 - T0 % DAY_MS

FILL = """
INSERT INTO detections (
    camera, run, pts, at_ms, model, model_version, index, label, score, x, y, w, h)
SELECT 'acme/hq/cam-' || cam, '01930000-0000-7000-8000-000000000001', n * 1800000::bigint,
       $1::bigint + n * 20000, 'hog', '1', 0, 'person', 0.5, 0, 0, 1, 1
FROM generate_series(0, 4319) AS n, generate_series(1, 20) AS cam
"""
COUNT = """
INSERT INTO detection_minutes (camera, minute_ms, label, model, model_version, most, objects)
SELECT camera, at_ms - at_ms % 60000, label, model, model_version, 1, count(*)
FROM detections GROUP BY 1, 2, 3, 4, 5
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.slow
async def test_what_is_shown_is_found_by_index(services) -> None:
    """20 cameras of two days with a detection each 20 s; one camera has replays."""
    camera = "acme/hq/cam-7"
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as catalog:
        for day in range(2):
            for table in ("detections", "detection_minutes"):
                async with catalog.transaction() as connection:
                    await connection.execute(
                        "SELECT ensure_day($1, $2)", table, DAY0 + day * DAY_MS
                    )
            async with catalog.transaction() as connection:
                await connection.execute(FILL, DAY0 + day * DAY_MS)
        async with catalog.transaction() as connection:
            await connection.execute(COUNT)
            await connection.execute("ANALYZE detections")
            await connection.execute("ANALYZE detection_minutes")
        run = run_id(DAY0)
        chunks = [
            chunk([fragment(run, seq, camera=camera, start_ms=DAY0 + 7_000 + seq * 60_000)])
            for seq in range(20)
        ]
        await index_chunks(catalog, chunks, T0)
        look = ModelReplaySpec(("hog", "2"), DAY0, DAY0 + 20 * MINUTE_MS, None, False)
        (replay,) = await begin(catalog, [camera], look, "tests", T0)
        last = None
        while page := await next_chunks(catalog, replay, last, 5):
            last = page[-1]
            for each in page:
                start_ms = each.fragments[0]["start_ms"]
                seen = Spans([(start_ms, start_ms + 4_000)])
                await mark_analysed(
                    catalog, replay, each, pictures=1, objects=0, covered=seen, fault=None
                )
        (replay,) = await begin(catalog, [camera], look, "tests", T0)
        assert (replay.chunks, replay.covered.length_ms) == (20, 80_000)
        for state in ("running", "current"):
            if state == "current":
                async with catalog.transaction() as connection:
                    await connection.execute("UPDATE model_replays SET state = 'done'")
                await set_state(catalog, [replay], "current", "tests", T0)
            await _check(catalog, camera)


async def _check(catalog: Catalog, camera: str) -> None:
    span = DAY0, DAY0 + DAY_MS
    choice = await resolve_filter(catalog, camera, *span)
    cut = choice.changing_minutes(*span)
    zero = "00000000-0000-0000-0000-000000000000"
    statements = {
        "find_detections": (
            *(camera, *span, *choice.values),
            *(["person"], 0.0, -1, zero, 0, "", "", 0, 1_000),
        ),
        "detection_buckets": (camera, DAY0, DAY0 + 3_600_000, *choice.values, 1_000),
        "detection_minute_buckets": (camera, *span, *choice.values, 5 * MINUTE_MS, cut),
        "shown_model_replays": (camera, *span),
        "version_detections": (camera, "hog", "2", *span),
        "end_of_batch": (camera, *span, "hog", "2", 5_000),
    }
    async with catalog.transaction() as connection:
        for name, values in statements.items():
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql(name)}", *values)
            parsed = json.loads(plan) if isinstance(plan, str) else plan
            found = list(nodes(parsed[0]["Plan"]))
            through = {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}
            assert not {each for each in through if each.startswith("detection")}, (name, through)
            read = sum(
                node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
                for node in found
                if "Index" in node["Node Type"]
            )
            assert read <= 2 * 4_321, (name, read)
    rows = await catalog.rows("detection_minute_buckets", *statements["detection_minute_buckets"])
    assert len(rows) == 288
    rows = await catalog.rows("find_detections", *statements["find_detections"])
    shown = choice.shown
    assert shown is not None
    assert [row["at_ms"] for row in rows] == [
        at for at in range(DAY0, DAY0 + DAY_MS, 20_000) if shown.shows(("hog", "1"), at)
    ][:1_000]


async def test_minutes_are_counted_again(services) -> None:
    """A catalog of before, with detections of two versions on two days, is brought up to date."""
    async with fresh_database(services.settings.database_url.get_secret_value()) as dsn:
        assert (await alembic_runner.migrate(dsn, revision="0002")).current == "0002"
        connection = await asyncpg.connect(dsn)
        at = DAY0 + DAY_MS - 30_000
        for table in ("detections", "detection_minutes"):
            for day in (DAY0, DAY0 + DAY_MS):
                await connection.execute("SELECT ensure_day($1, $2)", table, day)
        await connection.executemany(
            "INSERT INTO detections VALUES ($1, $2, $3, $4, 'hog', $5, $6, $7, 0.5, 0, 0, 1, 1)",
            [
                (CAMERA, at + ms, run_id(), ms, version, index, label)
                for ms in range(0, 60_000, 10_000)
                for version in ("1", "2")
                for index, label in enumerate(["person", "person", "car"][int(version) - 1 :])
            ],
        )
        await connection.execute(
            "INSERT INTO detection_minutes VALUES ($1, $2, 'person', 2, 9)", CAMERA, DAY0
        )
        assert (await migrate(dsn)).up_to_date
        rows = await connection.fetch(
            "SELECT minute_ms, label, model_version, most, objects FROM detection_minutes "
            "WHERE camera = $1 AND model = 'hog' ORDER BY 1, 2, 3",
            CAMERA,
        )
        await connection.close()
    assert [tuple(row) for row in rows] == [
        (minute, label, version, most, objects)
        for minute in (DAY0 + DAY_MS - MINUTE_MS, DAY0 + DAY_MS)
        for label, version, most, objects in (
            ("car", "1", 1, 3),
            ("car", "2", 1, 3),
            ("person", "1", 2, 6),
            ("person", "2", 1, 3),
        )
    ]
