"""A detector run again over recorded chunks: what is found, shown and dropped; dying in between."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.errors import ConfigError, StoreError
from domain.events import Detection, DetectionFrame, FoundObject
from domain.models import MINUTE_MS
from domain.retention import LegalHold
from domain.spans import Spans
from stores.catalog import index_detections, list_cameras
from stores.catalog import model_replays as book
from stores.catalog.detection_retention import delete_old_detections, drop_replay
from stores.catalog.detections import find_detections
from stores.catalog.model_filter import ModelFilter
from stores.catalog.retention_rules import add_hold, lift_hold
from stores.catalog.timeline import detection_buckets
from tests.conftest import Services
from tests.integration import consistency_support
from tests.integration.consistency_support import Place, now_ms, place
from tests.integration.models_support import (
    VTEST,
    Counting,
    Died,
    Stream,
    Yard,
    found,
    look_of,
    people,
    replayed,
)
from tests.integration.retention_support import aged, enforce
from vision.hog import HogPeopleDetector

LIVE = ("counting", "1")
NEW = ("counting", "2")
NEWER = ("counting", "3")
START_MS = consistency_support.START_MS + 30_000
"""Ten seconds before a minute's end."""
END_MS = START_MS + 30_000
"""Where `Place.film` ends: 15 fragments of 2 s in three chunks."""
M0 = START_MS - START_MS % MINUTE_MS


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


def live(at: Place, run: str, at_ms: int, count: int, version: str = "1") -> Detection:
    """Return what an edge saw in one picture."""
    objects = [FoundObject(label="thing", score=0.5, box=(0, 0, 1, 1))] * count
    frame = DetectionFrame(pts=(at_ms - START_MS) * 90, at_ms=at_ms, objects=objects)
    return Detection(
        camera=at.camera, run=run, model="counting", model_version=version, frames=[frame]
    )


async def versions(at: Place, from_ms: int, to_ms: int, **more) -> dict[str, int]:
    """Count what the API would answer, by version."""
    rows = await find_detections(at.catalog, at.camera, from_ms, to_ms, limit=5_000, **more)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.model_version] = counts.get(row.model_version, 0) + 1
    return counts


async def choose(at: Place, version, state) -> None:
    of = [
        r for r in await book.list_replays(at.catalog, [at.camera], version) if r.state != "dropped"
    ]
    await book.set_state(at.catalog, of, state, "tests", now_ms())


@pytest.mark.skipif(not VTEST.exists(), reason="opencv-doc is not installed")
@pytest.mark.slow
async def test_people_in_real_footage(at: Place) -> None:
    """The built-in detector over real pictures, at the times at which they were taken."""
    yard = Yard(at.camera, START_MS)
    for seq in range(6):
        await at.announce(await yard.put(at.store, seq))
    for seqs in (range(5), range(5, 6)):
        await at.join(yard, seqs)
    detector = HogPeopleDetector()
    look = look_of(("hog-people", "2"), START_MS, START_MS + 12_000, 1_000)
    replay, _ = await replayed(at, look, detector=detector)
    assert (replay.state, replay.pictures, replay.chunks) == ("done", 12, 2)
    assert replay.covered == Spans([(START_MS, START_MS + 12_000)])
    rows = await find_detections(at.catalog, at.camera, START_MS, START_MS + 12_000,
                            model_filter=ModelFilter("hog-people", "2"))  # fmt: skip
    assert {row.at_ms for row in rows} <= {START_MS + 1_000 * n for n in range(12)}
    for second in range(0, 12, 4):
        here = [row for row in rows if row.at_ms == START_MS + 1_000 * second]
        assert all(row.pts == 90_000 * (1 + second) for row in here)
        direct = detector.detect([people(120)[10 * second]])[0]
        # The same people, as far as encoding leaves the pictures alike.
        for row in here:
            assert row.label == "person"
            middle = (row.x + row.w / 2, row.y + row.h / 2)
            near = [
                one
                for one in direct
                if abs(one.box[0] + one.box[2] / 2 - middle[0]) < 0.05
                and abs(one.box[1] + one.box[3] / 2 - middle[1]) < 0.08
            ]
            if row.score > 0.7:
                assert near, (second, row, direct)
    assert len(rows) >= 12, "people walk there all the time"
    before = await found(at, ("hog-people", "2"))
    again, replayer = await replayed(at, look, detector=detector)
    assert (again, await found(at, ("hog-people", "2"))) == (replay, before)
    assert (replayer.result.chunks, replayer.result.already) == (0, 2)


async def test_stored_next_to_the_old_current_and_dropped(at: Place) -> None:
    chunks = await at.film(start_ms=START_MS)
    run = chunks[0].run
    # What the edge saw each 500 ms: 4 things in the footage, 1 half a minute before and after.
    seen = [
        live(at, run, ms, 4 if START_MS <= ms < END_MS else 1)
        for ms in range(START_MS - 30_000, END_MS + 30_000, 500)
    ]
    await index_detections(at.catalog, seen)
    span = START_MS - 60_000, END_MS + 60_000
    before = await versions(at, *span)
    assert before == {"1": 4 * 60 + 120}

    replay, _ = await replayed(at, look_of(NEW, START_MS, END_MS))
    fresh = await found(at, NEW)
    assert replay.pictures == 60
    assert replay.objects == len(fresh) > 20
    assert replay.covered == Spans([(START_MS, END_MS)])
    assert await versions(at, *span) == before, "no one made it current"
    assert await versions(at, *span, model_filter=ModelFilter(*NEW)) == {"2": len(fresh)}
    assert await versions(at, *span, model_filter=ModelFilter("counting")) == before | {
        "2": len(fresh)
    }
    everything = await versions(at, *span, model_filter=ModelFilter(all_models=True))
    assert everything == before | {"2": len(fresh)}

    async def most(bucket_ms: int, **more) -> dict[int, int]:
        buckets = await detection_buckets(at.catalog, at.camera, *span, bucket_ms, **more)
        return {each.at_ms: each.count for each in buckets}

    seconds, minutes = await most(1_000), await most(MINUTE_MS)
    assert {ms for ms in seconds if seconds[ms] == 4} == set(range(START_MS, END_MS, 1_000))
    assert minutes == {M0: 4, M0 + MINUTE_MS: 4}
    await choose(at, NEW, "current")
    assert await versions(at, *span) == {"1": 120, "2": len(fresh)}
    now = await most(1_000)
    assert [now[ms] for ms in seconds if not START_MS <= ms < END_MS] == [1] * 60
    assert all(now.get(ms, 0) <= 2 for ms in range(START_MS, END_MS, 1_000))
    # The footage is not of whole minutes: those that are cut are counted from what is shown.
    in_minutes = {
        minute: max(count for ms, count in now.items() if ms - ms % MINUTE_MS == minute)
        for minute in minutes
    }
    assert await most(MINUTE_MS) == in_minutes
    assert max(in_minutes.values()) == 2
    assert await most(MINUTE_MS, model_filter=ModelFilter(all_models=True)) == minutes
    newest = (await list_cameras(at.catalog, END_MS))[0].recent
    assert newest == (("thing", 4),), "the last minutes are counted whole"

    await choose(at, NEW, "done")
    assert (await versions(at, *span), await most(1_000)) == (before, seconds)
    assert await most(MINUTE_MS) == minutes
    await choose(at, NEW, "current")
    await replayed(at, look_of(NEWER, START_MS, START_MS + 10_000))
    await choose(at, NEWER, "current")
    both = await versions(at, *span)
    newer = len(await found(at, NEWER))
    assert both["3"] == newer > 0, "the later one counts, in what it covered"
    # It analysed whole minutes, so at all that is there.
    assert ("2" in both) == (M0 + MINUTE_MS < END_MS)

    await choose(at, NEW, "current")
    assert "3" not in await versions(at, *span), "made current again, it is the later one"
    await choose(at, NEWER, "done")
    await choose(at, NEWER, "dropping")
    assert await versions(at, *span, model_filter=ModelFilter(*NEWER)) == {"3": newer}
    (dying,) = await book.list_replays(at.catalog, [at.camera], NEWER)
    assert await drop_replay(at.catalog, dying, "tests", now_ms()) == (newer, True)
    assert await drop_replay(at.catalog, dying, "tests", now_ms()) == (0, True)
    assert await found(at, NEWER) == []
    assert len(await found(at, NEW)) == len(fresh)
    with pytest.raises(ConfigError, match="cannot become dropping"):
        await choose(at, NEW, "dropping")


async def test_dying_at_any_step_changes_nothing(at: Place) -> None:
    await at.film(start_ms=START_MS)
    whole, _ = await replayed(at, look_of(("counting", "whole"), START_MS, END_MS))
    expected = await found(at, ("counting", "whole"))
    step = deaths = 0
    while True:
        stream = Stream(at, dies_at=step)
        version = ("counting", f"died-{step}")
        look = look_of(version, START_MS, END_MS)
        try:
            await replayed(at, look, stream=stream)
        except Died:
            deaths += 1
        else:
            break
        (half,) = await book.list_replays(at.catalog, [at.camera], version)
        assert half.state == "running"
        detector = Counting()
        replay, replayer = await replayed(at, look, detector=detector)
        assert await found(at, version) == expected
        assert (replay.state, replay.pictures, replay.objects, replay.covered) == (
            *("done", whole.pictures, whole.objects, whole.covered),
        )
        assert replayer.result.already + replayer.result.chunks == 3
        assert detector.seen == 20 * replayer.result.chunks, "what is done is not analysed again"
        step += 1
    assert deaths >= 6, "two steps for each chunk"
    async with at.catalog.transaction() as connection:
        most = await connection.fetch(
            "SELECT DISTINCT sum(objects) FROM detection_minutes WHERE camera = $1 "
            "GROUP BY model_version",
            at.camera,
        )
    assert [row[0] for row in most] == [len(expected)], "nothing is counted twice"


async def test_a_store_that_fails_now_and_then(at: Place) -> None:
    await at.film(start_ms=START_MS)
    await replayed(at, look_of(("counting", "calm"), START_MS, END_MS))
    true, calls = at.store.get_verified, 0

    async def moody(*given, **more) -> bytes:
        nonlocal calls
        calls += 1
        if calls % 3 == 1:
            raise StoreError("S3 answered 503.")
        return await true(*given, **more)

    at.store.get_verified = moody  # type: ignore[method-assign]
    replay, replayer = await replayed(at, look_of(NEW, START_MS, END_MS))
    assert calls > 20
    assert (replay.state, replayer.result.faults) == ("done", 0)
    assert await found(at, NEW) == await found(at, ("counting", "calm"))


async def test_how_many_pictures(at: Place) -> None:
    """5 pictures a second were filmed, in fragments of 2 s of which each begins with a keyframe."""
    await at.film(start_ms=START_MS)
    for number, (rate_mfps, pictures) in enumerate(
        [(None, 15), (60_000, 150), (5_000, 150), (2_000, 60), (1_000, 30), (100, 3)]
    ):
        look = look_of(("counting", f"rate-{number}"), START_MS, END_MS, rate_mfps)
        replay, _ = await replayed(at, look)
        assert replay.pictures == pictures, rate_mfps
        assert replay.covered == Spans([(START_MS, END_MS)])
    calm, _ = await replayed(at, look_of(("counting", "calm"), START_MS, END_MS, 5_000, gated=True))
    assert 0 < calm.pictures <= 150
    async with at.catalog.transaction() as connection:
        at_ms = await connection.fetch(
            "SELECT DISTINCT at_ms FROM detections WHERE camera = $1 ORDER BY 1", at.camera
        )
    assert {(row[0] - START_MS) % 200 for row in at_ms} == {0}, "the times of the pictures"


async def test_a_chunk_that_cannot_be_read(at: Place) -> None:
    chunks = await at.film(start_ms=START_MS)
    seen = [live(at, chunks[0].run, ms, 3) for ms in range(START_MS, END_MS, 1_000)]
    await index_detections(at.catalog, seen)
    broken = bytearray(await at.store.get(chunks[1].object_key))
    held = chunks[1].fragments[2]
    broken[held.offset + 500] ^= 0xFF
    await at.overwrite(chunks[1].object_key, bytes(broken))
    await at.store.delete([chunks[2].object_key])
    look = look_of(NEW, START_MS, END_MS)
    replay, replayer = await replayed(at, look)
    assert (replay.state, replayer.result.faults) == ("done", 2)
    hole = (held.start_ms, held.start_ms + 2_000)
    assert replay.covered == Spans([(START_MS, hole[0]), (hole[1], START_MS + 20_000)])
    await choose(at, NEW, "current")
    shown = await find_detections(
        at.catalog, at.camera, START_MS, END_MS, model_filter=ModelFilter()
    )
    old = {row.at_ms for row in shown if row.model_version == "1"}
    assert old == {*range(*hole, 1_000), *range(START_MS + 20_000, END_MS, 1_000)}
    # Repeated once the footage is there again, it analyses what it could not.
    recorder = at.recorder(start_ms=START_MS)
    for chunk in chunks[1:]:
        data = b"".join([recorder.film(each.seq)[1] for each in chunk.fragments])
        await at.store.delete([chunk.object_key])
        await at.store.put_once(chunk.object_key, data, sha256=chunk.sha256, metadata={})
    assert (await replayed(at, look))[0].covered == Spans([(START_MS, END_MS)])
    assert set(await versions(at, START_MS, END_MS)) == {"2"}


async def test_what_is_refused(at: Place) -> None:
    chunks = await at.film(start_ms=START_MS)
    await index_detections(at.catalog, [live(at, chunks[0].run, START_MS + 500, 1)])
    with pytest.raises(ConfigError, match=r"recorded live.*--version"):
        await replayed(at, look_of(LIVE, START_MS, END_MS))
    assert await book.list_replays(at.catalog) == []
    before = look_of(LIVE, START_MS - 300_000, START_MS - 120_000)
    assert (await replayed(at, before))[0].state == "done", "the edge had another version then"
    await replayed(at, look_of(NEW, START_MS, END_MS))
    for other in (
        look_of(NEW, START_MS, END_MS, 1_000),
        look_of(NEW, START_MS, END_MS, gated=True),
        look_of(NEW, START_MS - 60_000, END_MS),
    ):
        with pytest.raises(ConfigError, match="already exists"):
            await replayed(at, other)
    stranger = live(at, chunks[0].run, START_MS, 1, "2").model_copy(update={"replay": 1 << 40})
    assert await index_detections(at.catalog, [stranger]) == 0, "no such replay"


async def test_dropped_stays_dropped_and_holds_win(at: Place) -> None:
    await at.film(start_ms=START_MS)
    look = look_of(NEW, START_MS, END_MS)
    stream = Stream(at)
    replay, _ = await replayed(at, look, stream=stream)
    count = replay.objects
    number, _ = await add_hold(
        at.catalog, LegalHold(at.camera, START_MS, START_MS + 1_000), "tests", "case 7", now_ms()
    )
    await choose(at, NEW, "dropping")
    held = len([row for row in await found(at, NEW, "at_ms") if row[0] < M0 + MINUTE_MS])
    assert await drop_replay(at.catalog, replay, "tests", now_ms()) == (count - held, False)
    assert len(await found(at, NEW)) == held > 0
    assert await versions(at, START_MS, END_MS) == {}, "kept, not shown"
    with pytest.raises(ConfigError, match="being dropped"):
        await replayed(at, look)
    await lift_hold(at.catalog, number, "tests", now_ms())
    assert await drop_replay(at.catalog, replay, "tests", now_ms()) == (held, True)
    assert await at.count("detections") == await at.count("detection_minutes") == 0
    # The topic is read again, as by a rebuild of the catalog.
    assert await index_detections(at.catalog, stream.events) == 0
    assert await at.count("detections") == 0
    repeated, _ = await replayed(at, look)
    assert (repeated.id > replay.id, repeated.objects) == (True, count), "under a number of its own"
    assert await index_detections(at.catalog, stream.events) == 0


async def test_retention_deletes_detections_and_keeps_them_away(at: Place) -> None:
    chunks = await at.film(start_ms=START_MS)
    seen = [live(at, chunks[0].run, ms, 2) for ms in range(M0, M0 + 5 * MINUTE_MS, 250)]
    await index_detections(at.catalog, seen)
    stream = Stream(at)
    await replayed(at, look_of(NEW, START_MS, END_MS), stream=stream)
    second = M0 + MINUTE_MS
    number, _ = await add_hold(
        at.catalog, LegalHold(at.camera, second + 5, second + 6), "tests", "case 8", now_ms()
    )
    until_ms = M0 + 3 * MINUTE_MS
    gone = await delete_old_detections(at.catalog, at.camera, until_ms + 59_999)
    assert gone >= 2 * 2 * 240
    everything = ModelFilter(all_models=True)
    left = await find_detections(
        at.catalog, at.camera, 0, 1 << 47, limit=5_000, model_filter=everything
    )
    minutes = {row.at_ms - row.at_ms % MINUTE_MS for row in left}
    assert minutes == {second, until_ms, until_ms + MINUTE_MS}
    assert await delete_old_detections(at.catalog, at.camera, until_ms) == 0
    before = await at.count("detection_minutes")
    assert await index_detections(at.catalog, [*seen, *stream.events]) == 0, "nothing comes back"
    assert await at.count("detection_minutes") == before
    await lift_hold(at.catalog, number, "tests", now_ms())
    assert await delete_old_detections(at.catalog, at.camera, until_ms) >= 2 * 240
    assert await index_detections(at.catalog, [*seen, *stream.events]) == 0
    # A hold that comes afterwards brings nothing back, and keeps what is left.
    await add_hold(at.catalog, LegalHold(at.camera, 0, None), "tests", "case 9", now_ms())
    assert await delete_old_detections(at.catalog, at.camera, until_ms + MINUTE_MS) == 0
    assert await index_detections(at.catalog, [*seen, *stream.events]) == 0
    assert await at.count("detections") == 2 * 2 * 240


async def test_a_pass_of_retention_takes_detections_along(at: Place) -> None:
    chunks = await at.film(start_ms=START_MS)
    await index_detections(at.catalog, [live(at, chunks[0].run, START_MS, 2)])
    await replayed(at, look_of(NEW, START_MS, END_MS))
    count = await at.count("detections")
    assert (await enforce(at, later_ms=0)).detections == 0, "no rule, no end"
    await aged(at)
    assert (await enforce(at, later_ms=0, dry=True)).detections == 0
    assert await at.count("detections") == count > 2
    assert (await enforce(at, later_ms=0)).detections == count
    assert await at.count("detections") == await at.count("detection_minutes") == 0
    again, _ = await replayed(at, look_of(NEW, START_MS, END_MS))
    assert again.state == "done", "and there is nothing left to analyse"
    assert await at.count("detections") == 0
