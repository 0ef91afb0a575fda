"""Cameras, timelines, lists and detections through the views."""

from collections.abc import AsyncIterator

import pytest

from domain.events import Detection, DetectionFrame, FoundObject, Gap, RunEnded, RunStarted
from stores.catalog import index_chunks, index_detections, index_fragments, index_runs
from stores.catalog.model_replays import ModelReplaySpec, begin, set_state
from tests.integration.catalog_support import CAMERA, T0, chunk, fragment, run_id, windows
from tests.integration.web_support import BASE, Web, running_web

RUN = run_id()


@pytest.fixture
async def web(services) -> AsyncIterator[Web]:
    async with running_web(services) as running:
        yield running


async def get(web: Web, path: str) -> dict:
    answer = await web.client.get(path)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def state(web: Web, now_ms: int) -> tuple[str, int]:
    web.set_now(now_ms)
    camera = await get(web, BASE)
    assert (await get(web, "/api/v1/cameras"))["cameras"] == [camera]
    return camera["state"], camera["since_ms"]


async def test_the_state_of_a_camera(web: Web) -> None:
    assert await state(web, T0 + 5_000) == ("new", T0)
    await index_runs(web.catalog, [RunStarted(camera=CAMERA, run=RUN, started_ms=T0 - 7, edge="e")])
    await index_fragments(web.catalog, [fragment(RUN, 0)], T0)
    end = T0 + 4_000
    assert await state(web, end + 15_000) == ("recording", T0 - 7)
    assert await state(web, end + 15_001) == ("late", end)
    assert await state(web, end + 120_001) == ("offline", end)
    camera = await get(web, BASE)
    assert (camera["first_ms"], camera["last_ms"]) == (T0, end)
    assert (camera["width"], camera["height"], camera["name"]) == (768, 576, "Gate")
    assert (camera["tenant"], camera["site"], camera["camera"]) == ("acme", "hq", "gate")


async def test_a_timeline_with_every_kind_of_gap(web: Web) -> None:
    """
    seqs   0 1 2 | 3 wrong bytes | 4 5 | run ended: cable | B 0 1 | (nothing known) | B 9
    """
    events = [fragment(RUN, seq) for seq in range(6)]
    wrong = Gap(
        from_ms=T0 + 12_000, to_ms=T0 + 16_000, first_seq=3, last_seq=3, reason="wrong bytes"
    )
    await index_chunks(web.catalog, [chunk(events[:3] + events[4:], gaps=[wrong])], T0)
    await index_runs(
        web.catalog,
        [RunEnded(camera=CAMERA, run=RUN, ended_ms=T0 + 24_000, last_seq=5, reason="cable")],
    )
    other = run_id(T0 + 40_000, seed=2)
    later = [fragment(other, seq, start_ms=T0 + 40_000 + seq * 4_000) for seq in (0, 1, 9)]
    await index_fragments(web.catalog, later, T0)
    web.set_now(T0 + 85_000)
    path = f"{BASE}/timeline?from={T0 - 60_000}&to={T0 + 85_000}"
    body = await get(web, path)
    assert body["covered"] == [
        [T0, T0 + 12_000],
        [T0 + 16_000, T0 + 24_000],
        [T0 + 40_000, T0 + 48_000],
        [T0 + 76_000, T0 + 80_000],
    ]
    expected = [
        {"from_ms": T0 + 12_000, "to_ms": T0 + 16_000, "reason": "wrong bytes"},
        {"from_ms": T0 + 24_000, "to_ms": T0 + 40_000, "reason": "cable"},
        {"from_ms": T0 + 48_000, "to_ms": T0 + 76_000, "reason": "not yet explained"},
    ]
    assert body["gaps"] == expected, "none before the first footage, none at the live edge"
    chunks = await get(web, path.replace("timeline", "chunks"))
    assert chunks["gaps"] == expected
    inside = await get(web, f"{BASE}/timeline?from={T0 + 30_000}&to={T0 + 35_000}")
    assert [gap["reason"] for gap in inside["gaps"]] == ["cable"], "it began before the range"
    web.set_now(T0 + 80_000 + 120_001)
    offline = await get(web, f"{BASE}/timeline?from={T0}&to={T0 + 500_000}")
    assert offline["gaps"][-1] == {
        "from_ms": T0 + 80_000,
        "to_ms": T0 + 80_000 + 120_001,
        "reason": "not yet explained",
    }


async def test_chunks_and_the_newest_fragments(web: Web) -> None:
    events = [fragment(RUN, seq) for seq in range(20)]
    await index_fragments(web.catalog, events, T0)
    first = windows(events)[0]
    await index_chunks(web.catalog, [first], T0)
    body = await get(web, f"{BASE}/chunks?from={T0}&to={T0 + 80_000}")
    (found,) = body["chunks"]
    assert found == {
        "run": RUN,
        "window_start_ms": T0,
        "window_ms": 60_000,
        "revision": 1,
        "start_ms": T0,
        "end_ms": T0 + 60_000,
        "size_bytes": first.size_bytes,
        "digest": first.digest,
        "reason": "complete",
        "url": f"{BASE}/chunks/{RUN}/{T0}/{first.digest}.ts",
    }
    assert [each["seq"] for each in body["fragments"]] == [15, 16, 17, 18, 19]
    assert body["fragments"][0]["url"] == f"{BASE}/fragments/{RUN}/15.ts"
    assert body["gaps"] == []


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_chunks_and_fragments_by_pages(web: Web, limit: int) -> None:
    """Fragments 30 to 37 have no chunk; two runs have one in each of two windows."""
    for run in (RUN, run_id(T0, seed=7)):
        events = [fragment(run, seq) for seq in range(38)]
        await index_fragments(web.catalog, events, T0)
        await index_chunks(web.catalog, windows(events)[:2], T0)
    path = f"{BASE}/chunks?from={T0}&to={T0 + 200_000}"
    whole = await get(web, path)
    assert (len(whole["fragments"]), len(whole["chunks"]), whole["next"]) == (16, 4, None)
    pages = [await get(web, f"{path}&limit={limit}")]
    while pages[-1]["next"] is not None:
        pages.append(await get(web, f"{path}&limit={limit}&cursor={pages[-1]['next']}"))
    for name in ("fragments", "chunks", "gaps"):
        assert [each for page in pages for each in page[name]] == whole[name]
    sizes = [len(page["fragments"]) + len(page["chunks"]) for page in pages]
    assert sizes[:-1] == [limit] * (len(pages) - 1)


def frame(at_ms: int, *found: tuple[str, float]) -> DetectionFrame:
    objects = [
        FoundObject(label=label, score=score, box=(0.1, 0.2, 0.3, 0.4), track="t1")
        for label, score in found
    ]
    return DetectionFrame(pts=at_ms * 90, at_ms=at_ms, objects=objects)


async def test_detections_by_pages_and_buckets(web: Web) -> None:
    frames = [
        frame(T0, ("person", 0.9), ("person", 0.5), ("car", 0.4)),
        frame(T0 + 500, ("person", 0.8)),
        frame(T0 + 9_000, ("person", 0.7)),
    ]
    await index_detections(
        web.catalog,
        [Detection(camera=CAMERA, run=RUN, model="hog", model_version="2", frames=frames)],
    )
    path = f"{BASE}/detections?from={T0}&to={T0 + 60_000}"
    body = await get(web, path)
    assert body["next"] is None
    assert body["detections"][0] == {
        "at_ms": T0,
        "run": RUN,
        "pts": T0 * 90,
        "index": 0,
        "model": "hog",
        "model_version": "2",
        "label": "person",
        "score": 0.9,
        "box": [0.1, 0.2, 0.3, 0.4],
        "track": "t1",
    }
    pages, cursor = [], ""
    while cursor is not None:
        page = await get(web, f"{path}&limit=2" + (f"&cursor={cursor}" if cursor else ""))
        pages.append(page["detections"])
        cursor = page["next"]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [row for page in pages for row in page] == body["detections"]
    people = await get(web, f"{path}&label=person&min_score=0.75")
    assert [each["score"] for each in people["detections"]] == [0.9, 0.8]
    both = await get(web, f"{path}&label=person&label=car")
    assert len(both["detections"]) == 5
    timeline = await get(web, f"{BASE}/timeline?from={T0}&to={T0 + 10_000}&buckets=10")
    assert timeline["bucket_ms"] == 1_000
    assert timeline["detections"] == [
        {"at_ms": T0, "label": "car", "count": 1},
        {"at_ms": T0, "label": "person", "count": 2},
        {"at_ms": T0 + 9_000, "label": "person", "count": 1},
    ]
    long = await get(web, f"{BASE}/timeline?from={T0}&to={T0 + 31 * 86_400_000}&buckets=2000")
    assert long["detections"][-1]["count"] == 2
    camera = await get(web, BASE)
    assert camera["labels_recent"] == [
        {"label": "person", "count": 2},
        {"label": "car", "count": 1},
    ]


async def test_the_same_range_in_any_zone(web: Web) -> None:
    await index_fragments(web.catalog, [fragment(RUN, 0)], T0)
    spelt = [
        f"from={T0}&to={T0 + 60_000}",
        "from=2026-11-22T17:43:00Z&to=2026-11-22T17:44:00.000Z",
        "from=2026-11-22T19:43:00%2B02:00&to=2026-11-22T12:44:00-05:00",
        "from=2026-11-22T19:43:00+02:00&to=2026-11-22T23:14:00+05:30",
    ]
    bodies = [await get(web, f"{BASE}/timeline?{each}") for each in spelt]
    assert bodies[0]["covered"] == [[T0, T0 + 4_000]]
    assert all(body == bodies[0] for body in bodies)


async def test_detections_of_the_model_that_is_asked_for(web: Web) -> None:
    """A replay's detections exist next to the edge's; the query selects whose are returned."""
    look = ModelReplaySpec(("hog", "3"), T0 - T0 % 60_000, T0 - T0 % 60_000 + 120_000, None, False)
    (replay,) = await begin(web.catalog, [CAMERA], look, "tests", T0)
    frames = [frame(T0, ("person", 0.9)), frame(T0 + 70_000, ("person", 0.8))]
    again = [frame(T0, ("dog", 0.9), ("dog", 0.8)), frame(T0 + 70_000, ("dog", 0.7))]
    await index_detections(
        web.catalog,
        [
            Detection(camera=CAMERA, run=RUN, model="hog", model_version="2", frames=frames),
            Detection(
                camera=CAMERA, run=RUN, model="hog", model_version="3", frames=again,
                replay=replay.id,
            ),
        ],
    )  # fmt: skip
    web.set_now(T0 + 120_000)

    async def seen(query: str = "") -> tuple[list[str], list[str], list[str]]:
        span = f"from={T0}&to={T0 + 120_000}{query}"
        listed = await get(web, f"{BASE}/detections?{span}")
        fine = await get(web, f"{BASE}/timeline?{span}&buckets=1000")
        coarse = await get(web, f"{BASE}/timeline?{span}&buckets=1")
        assert coarse["bucket_ms"] == 120_000, "counted by minutes"
        return (
            [each["label"] for each in listed["detections"]],
            [each["label"] for each in fine["detections"]],
            [f"{each['label']} {each['count']}" for each in coarse["detections"]],
        )

    live = (["person"] * 2, ["person"] * 2, ["person 1", "person 1"])
    asked = (["dog"] * 3, ["dog"] * 2, ["dog 2", "dog 1"])
    assert await seen() == live
    assert await seen("&model=hog&version=2") == live
    assert await seen("&model=hog&version=3") == asked
    assert await seen("&model=cat") == ([], [], [])
    for query in ("&model=all", "&model=hog"):
        labels, *_, coarse = await seen(query)
        assert sorted(labels) == ["dog"] * 3 + ["person"] * 2
        assert coarse == ["dog 2", "person 1", "dog 1", "person 1"]
    assert (await get(web, BASE))["labels_recent"] == [{"label": "person", "count": 1}]
    # The replay covers everything up to the second frame.
    async with web.catalog.transaction() as connection:
        await connection.execute(
            "UPDATE model_replays SET state = 'done', covered = int8multirange(int8range($1, $2))",
            *(T0 - 10_000, T0 + 60_000),
        )
    await set_state(web.catalog, [replay], "current", "tests", T0)
    assert await seen() == (["dog", "dog", "person"], ["dog", "person"], ["dog 2", "person 1"])
    for wrong in ("version=3", "model=all&version=3", "model=Hog", "model=hog&version=", "model="):
        answer = await web.client.get(f"{BASE}/detections?from={T0}&to={T0 + 1}&{wrong}")
        assert answer.status == 400, wrong
        assert (await answer.json())["detail"].split(":")[0] in {"model", "version"}
