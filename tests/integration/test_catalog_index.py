"""What the index agent writes, on a real PostgreSQL: replays, races, take-overs."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from domain.errors import StoreError
from domain.events import (
    Deleted,
    Detection,
    DetectionFrame,
    FoundObject,
    Gap,
    Heartbeat,
    RunEnded,
    RunStarted,
)
from stores.catalog import (
    Catalog,
    add_camera,
    index_chunks,
    index_deleted,
    index_detections,
    index_fragments,
    index_heartbeats,
    index_runs,
    known_cameras,
    list_cameras,
)
from tests.integration.catalog_support import (
    CAMERA,
    T0,
    chunk,
    fragment,
    fresh_catalog,
    run_id,
    scalar,
    windows,
)

RUN = run_id()


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as opened:
        yield opened


async def seqs_of(catalog: Catalog) -> tuple[list[int], list[int]]:
    """Return the seqs with fragment rows, and those in chunks."""
    async with catalog.transaction() as connection:
        alone = await connection.fetch("SELECT seq FROM fragments ORDER BY seq")
        held = await connection.fetch(
            "SELECT (f->>'seq')::int AS seq FROM chunks, jsonb_array_elements(fragments) f "
            "ORDER BY 1"
        )
    return [row["seq"] for row in alone], [row["seq"] for row in held]


async def test_fragments_are_playable_at_once_and_once(catalog: Catalog) -> None:
    events = [fragment(RUN, seq) for seq in range(5)]
    assert await index_fragments(catalog, events + events, T0) == 5
    assert await index_fragments(catalog, events, T0 + 1) == 0
    assert await index_fragments(catalog, [], T0) == 0
    assert (await seqs_of(catalog))[0] == [0, 1, 2, 3, 4]


async def test_a_chunk_takes_over_in_one_step(catalog: Catalog) -> None:
    events = [fragment(RUN, seq) for seq in range(20)]
    await index_fragments(catalog, events, T0)
    first, second = windows(events)
    assert await index_chunks(catalog, [first], T0) == 1
    assert await seqs_of(catalog) == (list(range(15, 20)), list(range(15)))
    assert await index_chunks(catalog, [first], T0) == 0, "a replay is nothing"
    assert await index_fragments(catalog, events, T0) == 0, "nor does a fragment come back"
    await index_chunks(catalog, [second, first], T0)
    assert await seqs_of(catalog) == ([], list(range(20)))


async def test_the_highest_revision_counts_in_any_order(catalog: Catalog) -> None:
    events = [fragment(RUN, seq) for seq in range(4)]
    revisions = {n: chunk(events[:n], revision=n) for n in (1, 2, 3, 4)}
    assert await index_chunks(catalog, [revisions[2], revisions[3], revisions[1]], T0) == 1
    assert (await seqs_of(catalog))[1] == [0, 1, 2]
    assert await index_chunks(catalog, [revisions[1]], T0) == 0
    assert await index_chunks(catalog, [revisions[3]], T0) == 0
    assert (await seqs_of(catalog))[1] == [0, 1, 2]
    assert await index_fragments(catalog, [events[3]], T0) == 1, "late: alone at first"
    assert await index_chunks(catalog, [revisions[4]], T0) == 1
    assert await seqs_of(catalog) == ([], [0, 1, 2, 3])


async def test_a_fragment_left_out_of_its_chunk_is_not_played(catalog: Catalog) -> None:
    events = [fragment(RUN, seq) for seq in range(3)]
    gap = Gap(from_ms=T0 + 4_000, to_ms=T0 + 8_000, first_seq=1, last_seq=1, reason="wrong bytes")
    await index_fragments(catalog, events, T0)
    await index_chunks(catalog, [chunk([events[0], events[2]], gaps=[gap])], T0)
    assert await seqs_of(catalog) == ([], [0, 2])
    assert await index_fragments(catalog, events, T0) == 0
    await index_chunks(catalog, [chunk(events, revision=2)], T0)
    assert await seqs_of(catalog) == ([], [0, 1, 2])


async def test_a_gap_written_backwards_does_no_harm(catalog: Catalog) -> None:
    gap = Gap(from_ms=T0, to_ms=T0, first_seq=9, last_seq=7, reason="?")
    assert await index_chunks(catalog, [chunk([fragment(RUN, 0)], gaps=[gap])], T0) == 1


@pytest.mark.parametrize("seed", range(12))
async def test_writers_racing_never_lose_or_double(catalog: Catalog, seed: int) -> None:
    """Fragments and chunks of three cameras, in batches that overlap, all at once."""
    draw = random.Random(seed)
    print("seed", seed)
    cameras = [f"acme/hq/cam-{number}" for number in range(3)]
    fragments, chunks = [], []
    for number, camera in enumerate(cameras):
        run = run_id(seed=number)
        of_run = [fragment(run, seq, camera=camera) for seq in range(30)]
        fragments += of_run
        chunks += windows(of_run)[:1]
    work = []
    for _ in range(8):
        draw.shuffle(fragments)
        draw.shuffle(chunks)
        work.append(index_fragments(catalog, fragments[: draw.randint(1, 90)], T0))
        work.append(index_chunks(catalog, chunks[: draw.randint(1, 3)], T0))
    work.append(index_fragments(catalog, fragments, T0))
    work.append(index_chunks(catalog, chunks, T0))
    draw.shuffle(work)
    await asyncio.gather(*work)
    alone, held = await seqs_of(catalog)
    assert held == sorted(list(range(15)) * 3)
    assert alone == sorted(list(range(15, 30)) * 3)


async def test_the_first_writers_of_a_day_race_for_its_partition(services) -> None:
    dsn = services.settings.database_url.get_secret_value()
    async with fresh_catalog(dsn) as one, Catalog(one._dsn) as two, Catalog(one._dsn) as three:
        events = [fragment(run_id(seed=n), 0) for n in range(6)]
        done = await asyncio.gather(
            *(
                index_chunks(catalog, [chunk([event])], T0)
                for event, catalog in zip(events, [one, two, three] * 2, strict=True)
            )
        )
        assert done == [1] * 6


async def test_a_dropped_partition_is_created_again(catalog: Catalog) -> None:
    await index_chunks(catalog, [chunk([fragment(RUN, 0)])], T0)
    async with catalog.transaction() as connection:
        await connection.execute("DROP TABLE chunks_20261122")
    assert await index_chunks(catalog, [chunk([fragment(RUN, 0)])], T0) == 1


async def test_the_day_of_a_partition_is_utc(catalog: Catalog) -> None:
    late = fragment(RUN, 0, start_ms=1_795_391_999_999 - 4_000)  # 2026-11-22T23:59:55.999Z
    early = fragment(RUN, 1, start_ms=1_795_392_000_000)  # 2026-11-23T00:00:00Z
    await index_chunks(catalog, [chunk([late]), chunk([early])], T0)
    assert await scalar(catalog, "SELECT count(*) FROM chunks_20261122") == 1
    assert await scalar(catalog, "SELECT count(*) FROM chunks_20261123") == 1


async def test_tombstones_keep_footage_from_coming_back(catalog: Catalog) -> None:
    events = [fragment(RUN, seq) for seq in range(20)]
    first, second = windows(events)
    await index_chunks(catalog, [first, second], T0)
    common = {"camera": CAMERA, "run": RUN, "reason": "retention", "deleted_ms": T0}
    tombstones = [
        Deleted(what="fragments", first_seq=0, last_seq=14, **common),
        Deleted(what="chunk", window_start_ms=first.window_start_ms, digest=first.digest, **common),
        Deleted(what="chunk", window_start_ms=second.window_start_ms, digest="f" * 32, **common),
    ]
    await index_deleted(catalog, tombstones)
    await index_deleted(catalog, tombstones)
    assert await scalar(catalog, "SELECT count(*) FROM tombstones") == 3
    assert (await seqs_of(catalog))[1] == list(range(15, 20)), "another digest is another chunk"
    assert await index_chunks(catalog, [first], T0) == 0
    assert await index_fragments(catalog, events, T0) == 0
    assert await seqs_of(catalog) == ([], list(range(15, 20)))


async def test_runs_in_any_order(catalog: Catalog) -> None:
    ended = RunEnded(
        camera=CAMERA, run=RUN, ended_ms=T0 + 9, last_seq=7, reason="unplugged", given_up=[(2, 3)]
    )
    started = RunStarted(camera=CAMERA, run=RUN, started_ms=T0, edge="edge-1")
    await index_fragments(catalog, [fragment(RUN, 1)], T0)
    for events in ([ended], [started], [started, ended], [ended, started]):
        await index_runs(catalog, events)
    async with catalog.transaction() as connection:
        (row,) = await connection.fetch("SELECT *, given_up::text AS lost FROM runs")
    assert (str(row["run"]), row["started_ms"], row["edge"]) == (RUN, T0, "edge-1")
    assert (row["ended_ms"], row["last_seq"], row["reason"]) == (T0 + 9, 7, "unplugged")
    assert row["lost"] == "{[2,4)}"


def seen(at_ms: int, *labels: str, version: str = "1") -> Detection:
    objects = [FoundObject(label=each, score=0.5, box=(0.1, 0.2, 0.3, 0.4)) for each in labels]
    frame = DetectionFrame(pts=(at_ms - T0) * 90, at_ms=at_ms, objects=objects)
    return Detection(camera=CAMERA, run=RUN, model="hog", model_version=version, frames=[frame])


async def test_detections_are_counted_once_however_often_they_come(catalog: Catalog) -> None:
    batches = [
        [seen(T0, "person", "person", "car"), seen(T0 + 100, "person")],
        [seen(T0 + 100, "person"), seen(T0 + 60_000, "person"), seen(T0 + 200)],
        [seen(T0, "person", "person", "car")],
    ]
    new = await asyncio.gather(*(index_detections(catalog, each) for each in batches * 4))
    assert sum(new) == 5
    async with catalog.transaction() as connection:
        rows = await connection.fetch(
            "SELECT minute_ms, label, most, objects FROM detection_minutes ORDER BY 1, 2"
        )
    assert [tuple(row) for row in rows] == [
        (T0, "car", 1, 1),
        (T0, "person", 2, 3),
        (T0 + 60_000, "person", 1, 1),
    ]
    assert await index_detections(catalog, [seen(T0, "person", version="2")]) == 1


async def test_text_that_postgresql_does_not_take(catalog: Catalog) -> None:
    assert await index_detections(catalog, [seen(T0, "per\0son")]) == 1
    assert await scalar(catalog, "SELECT label FROM detections") == "person"
    ended = RunEnded(camera=CAMERA, run=RUN, ended_ms=T0, last_seq=0, reason="bad\0end \\u0000")
    await index_runs(catalog, [ended])
    assert await scalar(catalog, "SELECT reason FROM runs") == "badend \\u0000"


async def test_an_older_heartbeat_changes_nothing(catalog: Catalog) -> None:
    def beat(sent_ms: int) -> Heartbeat:
        return Heartbeat(
            site="acme/hq", edge="e", sent_ms=sent_ms, spool_bytes=sent_ms, spool_waiting=0,
            disk_free_bytes=0,
        )  # fmt: skip

    await index_heartbeats(catalog, [beat(5), beat(9), beat(7)], T0)
    await index_heartbeats(catalog, [beat(8)], T0)
    assert await scalar(catalog, "SELECT spool_bytes FROM edges") == 9


async def test_cameras_and_how_far_their_footage_reaches(catalog: Catalog) -> None:
    assert await add_camera(catalog, CAMERA, "Gate", T0) is True
    assert await add_camera(catalog, CAMERA, "Front gate", T0) is False
    assert await known_cameras(catalog) == {CAMERA}
    (before,) = await list_cameras(catalog, T0)
    assert (before.name, before.first_ms, before.recent) == ("Front gate", None, ())
    await index_fragments(catalog, [fragment(RUN, seq) for seq in (3, 4)], T0)
    await index_fragments(catalog, [fragment(RUN, 2, width=100)], T0)
    await index_detections(catalog, [seen(T0, "person", "person", "car")])
    (after,) = await list_cameras(catalog, T0 + 1_000)
    assert (after.first_ms, after.last_ms) == (T0 + 8_000, T0 + 20_000)
    assert after.width == 768, "of the newest"
    assert after.recent == (("person", 2), ("car", 1))
    assert (await list_cameras(catalog, T0 + 3_600_000))[0].recent == ()


async def test_a_lost_connection_is_a_store_error_and_then_over(catalog: Catalog) -> None:
    with pytest.raises(StoreError, match="catalog did not answer"):
        async with catalog.transaction() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert await index_fragments(catalog, [fragment(RUN, 0)], T0) == 1
