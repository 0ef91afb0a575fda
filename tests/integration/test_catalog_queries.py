"""What the catalog answers, against plain Python over the same events; and by which plans."""

import json
import random
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from domain.events import Detection, DetectionFrame, FoundObject, Keyframe
from stores.catalog import Catalog, index_chunks, index_detections, index_fragments
from stores.catalog.detections import find_detections
from stores.catalog.intervals import TOLERANCE_MS, Interval, merge
from stores.catalog.playback import (
    frame_at,
    lead_rows,
    locate_fragment,
    playback_rows,
    playback_segments,
)
from stores.catalog.pool import sql
from stores.catalog.timeline import (
    MINUTE_MS,
    bucket_length,
    covered,
    detection_buckets,
    footage_before,
    list_chunks,
)
from tests.integration.catalog_support import (
    CAMERA,
    T0,
    chunk,
    fragment,
    fresh_catalog,
    run_id,
    windows,
)

DAY_MS = 86_400_000


@pytest.fixture
async def catalog(services) -> AsyncIterator[Catalog]:
    async with fresh_catalog(services.settings.database_url.get_secret_value()) as opened:
        yield opened


def clipped(intervals: list[Interval], from_ms: int, to_ms: int) -> list[Interval]:
    within = [(max(a, from_ms), min(b, to_ms)) for a, b in intervals]
    return [(a, b) for a, b in within if a < b]


async def test_ranges_against_plain_python(catalog: Catalog) -> None:
    """Three runs with holes around midnight, some joined, some not; 60 ranges."""
    seed = 20_261_122
    draw = random.Random(seed)
    print("seed", seed)
    at = T0 - T0 % DAY_MS + DAY_MS - 300_000
    everything = []
    for number in range(3):
        run = run_id(at, seed=number)
        events = []
        for seq in range(60):
            duration = draw.choice([2_000, 4_000, 4_040, 10_000])
            if draw.random() > 0.1:
                events.append(fragment(run, seq, start_ms=at, duration_ms=duration))
            at += duration + draw.choice([0, 0, 0, 149, 150, 151, 5_000])
        everything += events
        await index_fragments(catalog, events, T0)
        joined = [each for each in windows(events) if draw.random() > 0.3]
        await index_chunks(catalog, joined, T0)
        await index_fragments(catalog, [fragment(run, 0, camera="acme/hq/other")], T0)
    first, last = everything[0].start_ms, everything[-1].end_ms
    islands = merge((e.start_ms, e.end_ms) for e in everything)
    for _ in range(60):
        from_ms = draw.randint(first - 20_000, last)
        to_ms = from_ms + draw.choice([1, 500, 4_000, 60_000, 1_000_000])
        within = [e for e in everything if e.start_ms < to_ms and e.end_ms > from_ms]
        found = await playback_segments(catalog, CAMERA, from_ms, to_ms)
        assert [(p.run, p.seq, p.start_ms, p.duration_ms, p.size_bytes) for p in found] == [
            (e.run, e.seq, e.start_ms, e.duration_ms, e.size_bytes) for e in within
        ]
        footage = await covered(catalog, CAMERA, from_ms, to_ms)
        assert all(from_ms <= a < b <= to_ms for a, b in footage)
        # A small hole at the very edge of the range may count either way.
        inner = from_ms + TOLERANCE_MS, to_ms - TOLERANCE_MS
        assert clipped(footage, *inner) == clipped(islands, *inner)
        at_ms = draw.randint(first - 500, last + 500)
        showing = [e for e in everything if e.start_ms <= at_ms < e.end_ms + 150]
        picture = await frame_at(catalog, CAMERA, at_ms)
        expected = (showing[-1].run, showing[-1].seq) if showing else None
        assert (picture and (picture.run, picture.seq)) == expected
    holes = [(before[1], after[0]) for before, after in pairwise(islands)]
    assert len(holes) > 10
    for start, end in holes:
        for at_ms in (start, draw.randint(start, end - 1)):
            assert await footage_before(catalog, CAMERA, at_ms) == start
    assert await footage_before(catalog, CAMERA, first) is None
    for event in draw.sample(everything, 20):
        place = await locate_fragment(catalog, CAMERA, event.run, event.seq)
        assert place is not None
        assert (place.size_bytes, place.etag) == (event.size_bytes, event.sha256)
        assert (place.offset == 0 and place.is_whole) or not place.is_whole
    assert await locate_fragment(catalog, CAMERA, everything[0].run, 9_999) is None


@pytest.mark.parametrize("joined", [0, 3, 6])
async def test_a_fragment_without_a_keyframe_needs_the_ones_before(
    catalog: Catalog, joined: int
) -> None:
    """A keyframe in fragments 0 and 2; in 4 it is not the first frame; of 5 nothing is known.

    The first `joined` ones are in a chunk.
    """
    run, other = run_id(), run_id(seed=1)
    events = [fragment(run, seq, keyframes=[]) for seq in range(6)]
    for seq in (0, 2):
        events[seq] = fragment(run, seq)
    later = events[4].start_pts + 90_000
    events[4] = fragment(run, 4, keyframes=[Keyframe(pts=later, offset=9_000, size=1_000)])
    events[5] = fragment(run, 5, keyframes=None)
    await index_fragments(catalog, [*events[joined:], fragment(other, 0, start_ms=T0 - 9_000)], T0)
    if joined:
        await index_chunks(catalog, [chunk(events[:joined])], T0)
    known = [True, False, True, False, False, False if joined == 6 else None]
    found = await playback_segments(catalog, CAMERA, T0, T0 + 24_000)
    assert [each.independent for each in found] == known
    for seq, lead in ((0, []), (1, [0]), (2, []), (3, [2]), (4, [3, 2])):
        rows = await playback_rows(catalog, CAMERA, T0 + seq * 4_000, T0 + 60_000)
        assert [row["seq"] for row in await lead_rows(catalog, CAMERA, rows)] == lead
    for seq, shown in ((0, 0), (1, 0), (2, 2), (3, 2), (4, 4)):
        source = await frame_at(catalog, CAMERA, T0 + seq * 4_000 + 1_500)
        assert source is not None and (source.run, source.seq) == (run, shown)


def sight(draw: random.Random, run: str, at_ms: int) -> Detection:
    objects = [
        FoundObject(
            label=draw.choice(["person", "car", "dog"]),
            score=draw.randint(0, 100) / 100,
            box=(0, 0, 0.5, 0.5),
        )
        for _ in range(draw.randint(0, 4))
    ]
    frame = DetectionFrame(pts=at_ms * 90, at_ms=at_ms, objects=objects)
    return Detection(camera=CAMERA, run=run, model="m", model_version="1", frames=[frame])


async def test_detections_against_plain_python(catalog: Catalog) -> None:
    draw = random.Random(7)
    run = run_id()
    start = T0 - T0 % DAY_MS + DAY_MS - 600_000
    events = [sight(draw, run, start + 777 * number) for number in range(1_500)]
    await index_detections(catalog, events)
    rows = [
        (event.frames[0].at_ms, index, found.label, found.score)
        for event in events
        for index, found in enumerate(event.frames[0].objects)
    ]
    from_ms, to_ms = start + 10_000, start + 1_000_000
    found, after = [], None
    while page := await find_detections(
        catalog, CAMERA, from_ms, to_ms, labels=["person", "dog"], min_score=0.3,
        after=after, limit=100,
    ):  # fmt: skip
        found += page
        after = page[-1].cursor
    assert [(each.at_ms, each.index, each.label, each.score) for each in found] == [
        row for row in rows
        if from_ms <= row[0] < to_ms and row[2] in {"person", "dog"} and row[3] >= 0.3
    ]  # fmt: skip
    for bucket_ms in (1_000, 7_000, MINUTE_MS, 5 * MINUTE_MS):
        edge = MINUTE_MS if bucket_ms % MINUTE_MS == 0 else 1
        most: dict[tuple[int, str], int] = {}
        for event in events:
            frame = event.frames[0]
            at_ms = frame.at_ms - frame.at_ms % edge
            if from_ms - from_ms % edge <= at_ms < to_ms:
                for label in {each.label for each in frame.objects}:
                    key = frame.at_ms - frame.at_ms % bucket_ms, label
                    count = sum(each.label == label for each in frame.objects)
                    most[key] = max(most.get(key, 0), count)
        buckets = await detection_buckets(catalog, CAMERA, from_ms, to_ms, bucket_ms)
        assert {(each.at_ms, each.label): each.count for each in buckets} == most


@pytest.mark.parametrize(
    ("hours", "buckets", "length"),
    [
        (1, 600, 6_000),
        (1, 7, 540_000),  # 514 s: whole minutes above one
        (6, 2_000, 10_800),
        (7, 2_000, MINUTE_MS),  # long ranges are counted by minutes
        (24, 96, 900_000),
        (744, 600, 4_500_000 - 4_500_000 % MINUTE_MS),
    ],
)
def test_bucket_lengths(hours: int, buckets: int, length: int) -> None:
    assert bucket_length(0, hours * 3_600_000, buckets) == length


FILL = """
INSERT INTO chunks (
    camera, window_start_ms, run, window_ms, revision, digest, object_key, size_bytes, sha256,
    start_ms, end_ms, reason, video_codec, width, height, seqs, settled, covered, whole,
    fragments, gaps, joined_ms, indexed_ms)
SELECT
    'acme/hq/cam-' || camera, day + minute * 60000,
    ('01890000-0000-7000-8000-' || lpad(camera::text, 12, '0'))::uuid, 60000, 1,
    md5(camera || ' ' || minute), 'chunks/x', 5000000, '\\x00', day + minute * 60000,
    day + minute * 60000 + 60000, 'complete', 'h264', 768, 576, '{[0,15)}', '{[0,15)}', '{[0,15)}',
    true, '[]', '[]', 0, 0
FROM generate_series(0, $2 - 1) AS minute, generate_series(1, $3) AS camera,
     (SELECT $1::bigint AS day)
"""


def nodes(plan: dict) -> list[dict]:
    return [plan] + [node for child in plan.get("Plans", []) for node in nodes(child)]


@pytest.mark.slow
async def test_a_day_of_one_camera_among_1000_uses_the_index(catalog: Catalog) -> None:
    """Two days of 1,000 cameras (a chunk each 10 minutes' worth): no partition is read through."""
    day = T0 - T0 % DAY_MS
    async with catalog.transaction() as connection:
        for start in (day - DAY_MS, day):
            await connection.execute("SELECT ensure_day('chunks', $1)", start)
            await connection.execute("SELECT ensure_day('detections', $1)", start)
            await connection.execute(FILL, start, 144, 1_000)
        await connection.execute("ANALYZE chunks")
    statements = {
        "playback_segments": ("acme/hq/cam-500", day, day + DAY_MS),
        "covered": ("acme/hq/cam-500", day, day + DAY_MS, 150),
        "list_chunks": ("acme/hq/cam-500", day, day + DAY_MS, None, None, None),
        "frame_at": ("acme/hq/cam-500", day + 5_000_000, 150),
        "footage_before": ("acme/hq/cam-500", day + 5_000_000),
        "reported_gaps": ("acme/hq/cam-500", day, day + DAY_MS),
    }
    async with catalog.transaction() as connection:
        for name, values in statements.items():
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql(name)}", *values)
            parsed = json.loads(plan) if isinstance(plan, str) else plan
            found = nodes(parsed[0]["Plan"])
            through = [
                node["Relation Name"]
                for node in found
                if node["Node Type"] == "Seq Scan" and node["Relation Name"].startswith("chunks")
            ]
            assert through == [], name
            read = sum(
                node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0)
                for node in found
                if "Index" in node["Node Type"]
            )
            assert read < 2_000, (name, read)
    assert len(await list_chunks(catalog, "acme/hq/cam-500", day, day + DAY_MS)) == 144
