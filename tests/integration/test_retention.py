"""Retention on a real bucket and a real catalog: what goes, what stays, and dying in between."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from agents.consistency.check import CameraCheck, CheckCounts, CheckScope
from agents.consistency.remover import Remover, RepairOutcome
from agents.healing.healer import Healer
from agents.healing.reconciler import ReconcileOptions, Reconciler
from domain.consistency import Delete, GracePeriods, Inconsistency
from domain.events import HealRequested, parse
from domain.identity import fragment_key, manifest_key
from domain.retention import DAY_MS, LegalHold
from domain.times import format_ms
from domain.window_lengths import WindowLengths
from stores.catalog import index_chunks, index_deleted, index_fragments
from stores.catalog.retention_rules import add_hold, clear_rule, lift_hold, list_holds, list_rules
from streams import topics
from streams.kafka import client_options
from streams.settings import get_settings
from streams.topic_admin import ensure
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, WINDOW_MS, Place, now_ms, place
from tests.integration.retention_support import (
    SOON_MS,
    Died,
    Mortal,
    aged,
    another,
    enforce,
    filmed,
    kinds,
    sent_tombstones,
)
from tests.integration.test_catalog_migrate import vigil


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def test_without_a_rule_the_footage_stays(at: Place) -> None:
    recorder, chunks = await filmed(at)
    assert kinds(await at.keys()) == (17, 8)
    before = await enforce(at, later_ms=0)
    assert (before.objects, sent_tombstones(at)) == ({}, []), "nothing is old enough"

    done = await enforce(at)
    assert done.objects == {"joined": 15, "superseded": 2}
    keys = await at.keys()
    assert kinds(keys) == (2, 6)
    assert fragment_key(at.camera, recorder.run, 15) in keys, "no chunk holds it"
    assert chunks[1].object_key not in keys, "the older revision"
    assert await at.count("chunks") == 3
    assert await at.count("fragments") == 2
    assert await at.count("deletions") == 0
    assert {
        (each.what, each.first_seq, each.last_seq, each.digest) for each in sent_tombstones(at)
    } == {
        ("fragments", 0, 14, None),
        ("chunk", None, None, chunks[1].digest),
    }
    again = await enforce(at, later_ms=100 * DAY_MS)
    assert (again.objects, len(sent_tombstones(at))) == ({}, 2)
    outcomes, counts = await at.check(bytes=True)
    assert [each.finding.kind for each in outcomes] == ["fragment-stuck", "fragment-stuck"]
    assert counts.chunks == 3


async def test_by_age_all_goes(at: Place) -> None:
    await filmed(at)
    await aged(at)
    done = await enforce(at, later_ms=0)
    assert kinds(await at.keys()) == (0, 0)
    assert done.objects == {"age": 17 + 8}
    for table in ("chunks", "fragments", "deletions"):
        assert await at.count(table) == 0, table
    assert await at.check() == ([], (await at.check())[1])


async def test_only_what_is_older_goes(at: Place) -> None:
    """Three windows; the age ends between the second and the third."""
    _, chunks = await filmed(at)
    await aged(at, 1)
    end_ms = chunks[2].window_start_ms + WINDOW_MS
    await enforce(at, later_ms=end_ms + DAY_MS - now_ms())
    assert await at.count("chunks") == 1
    assert await at.count("fragments") == 2
    reach = await at.catalog.row("footage_extent", at.camera)
    assert reach and reach["first_ms"] == chunks[3].start_ms


async def test_a_hold_wins_over_age_and_all_else(at: Place) -> None:
    _, chunks = await filmed(at)
    await aged(at)
    middle = chunks[2].start_ms + 4_000
    number, _ = await add_hold(at.catalog, LegalHold(at.camera, middle, middle + 1), "Ann", "7", 0)
    done = await enforce(at)
    assert done.held == 1
    keys = await at.keys()
    assert kinds(keys) == (5, 4), "the held chunk in both revisions, and its fragments"
    assert chunks[2].object_key in keys
    assert manifest_key(chunks[1].object_key) in keys
    assert await at.count("chunks") == 1

    assert await lift_hold(at.catalog, number, "Bob", 1) == at.camera
    assert await lift_hold(at.catalog, number, "Bob", 1) is None
    assert await list_holds(at.catalog) == []
    assert [
        (each.added_by, each.lifted_by) for each in await list_holds(at.catalog, lifted=True)
    ] == [("Ann", "Bob")]
    await enforce(at)
    assert kinds(await at.keys()) == (0, 0)


async def test_a_hold_keeps_the_bytes_of_what_was_decided_before(at: Place) -> None:
    await filmed(at)
    await aged(at)
    with pytest.raises(Died):
        await enforce(at, mortal=Mortal(0))  # decided, not published, nothing deleted
    assert kinds(await at.keys()) == (17, 8)
    number, under_way = await add_hold(at.catalog, LegalHold("acme", 0), "Ann", "7", 0)
    assert under_way > 0
    done = await enforce(at)
    assert done.held >= under_way
    assert kinds(await at.keys()) == (17, 8)
    outcomes = await fsck_deletes(at, await at.keys())
    assert {outcome.text for outcome in outcomes} == {"a legal hold covers it"}
    assert kinds(await at.keys()) == (17, 8), "neither does the consistency check"
    await lift_hold(at.catalog, number, "Ann", 1)
    await enforce(at)
    assert kinds(await at.keys()) == (0, 0)


async def fsck_deletes(at: Place, keys: list[str]) -> list[RepairOutcome]:
    """Let the consistency check delete objects as tombstoned ones."""
    grace, lengths = GracePeriods(now_ms() + SOON_MS, 1), WindowLengths.always(WINDOW_MS)
    check = CameraCheck(at.store, at.catalog, at.camera, CheckScope(), grace, lengths)
    remover = Remover(check, Never())  # type: ignore[arg-type]
    for key in keys:
        repair = Delete(key, tombstoned=True)
        assert remover.accept(
            Inconsistency("tombstoned-stands", at.camera, "", key=key, repair=repair)
        )
    return await remover.delete_collected(
        CheckCounts(fragments=1_000, chunk_objects=1_000, manifests=1_000)
    )


class Never:
    """A sender that is not needed."""


async def test_the_consistency_check_obeys_the_holds_times(at: Place) -> None:
    _, chunks = await filmed(at)
    await add_hold(at.catalog, LegalHold(at.camera, START_MS - 9, START_MS + 1), "Ann", "7", 0)
    await at.execute("DELETE FROM chunks")
    keys = [chunk.object_key for chunk in chunks]
    *_, before = [await fsck_deletes(at, [key]) for key in keys]
    assert [outcome.text for outcome in before] == ["deleted"]
    assert await at.store.head(keys[0])
    assert chunks[3].object_key not in await at.keys()


async def test_adding_a_hold_waits_for_the_deletion_in_progress(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filmed(at)
    await aged(at)
    deleting, go_on = asyncio.Event(), asyncio.Event()
    true = type(at.store).delete

    async def slow(store: object, keys: list[str]) -> None:
        deleting.set()
        await go_on.wait()
        await true(store, keys)  # type: ignore[arg-type]

    monkeypatch.setattr(type(at.store), "delete", slow)
    working = asyncio.ensure_future(enforce(at))
    await deleting.wait()
    adding = asyncio.ensure_future(add_hold(at.catalog, LegalHold(at.camera, 0), "Ann", "7", 0))
    done, _ = await asyncio.wait({adding}, timeout=0.3)
    assert not done
    go_on.set()
    await working
    await adding


async def test_damaged_chunks_keep_their_fragments(at: Place) -> None:
    _, chunks = await filmed(at)
    await at.store.delete([chunks[0].object_key, manifest_key(chunks[3].object_key)])
    done = await enforce(at)
    assert done.unchecked == 2
    assert done.objects["joined"] == 5
    fragments, _ = kinds(await at.keys())
    assert fragments == 12


async def test_a_dry_run_counts_and_changes_nothing(at: Place) -> None:
    await filmed(at)
    await aged(at)
    before = sorted(await at.keys())
    done = await enforce(at, dry=True)
    assert done.objects["age"] > 0
    assert sorted(await at.keys()) == before
    assert await at.count("tombstones") == 0
    assert await at.count("chunks") == 3


@pytest.mark.slow
@pytest.mark.parametrize("by_age", [True, False])
async def test_after_a_crash_at_any_step_the_next_pass_finishes(
    at: Place, monkeypatch: pytest.MonkeyPatch, by_age: bool
) -> None:
    """Die at each step of a pass in turn; the next pass ends where one alone would have."""
    died = 0
    for number in range(100):
        mortal, camera = Mortal(number), await another(at)
        _, chunks = await filmed(camera)
        if by_age:
            await aged(camera)
        try:
            await enforce(camera, mortal=mortal, monkeypatch=monkeypatch)
        except Died:
            died += 1
            rows = await camera.count("chunks")
            keys = await camera.keys()
            gone = 17 + 8 - len(keys)
            if gone:
                assert sent_tombstones(camera), "the tombstone is sent before an object is deleted"
                assert rows == (0 if by_age else 3)
            for chunk in [chunks[0], *chunks[2:]][: rows and 3]:
                assert chunk.object_key in keys, "a row has its object"
        await enforce(camera, monkeypatch=monkeypatch)
        assert kinds(await camera.keys()) == ((0, 0) if by_age else (2, 6)), number
        assert await camera.count("deletions") == 0
        events = sent_tombstones(camera)
        assert len(set(map(str, events))) == (5 if by_age else 2), "published again, byte for byte"
        if mortal.steps < number:
            break
    else:
        raise AssertionError("it never came through")
    assert died >= 9


async def test_nothing_brings_it_back(at: Place) -> None:
    """A replay of all events, the healer and the reconciler, while the objects still exist."""
    recorder, chunks = await filmed(at)
    await aged(at)
    with pytest.raises(Died):
        await enforce(at, mortal=Mortal(0))
    assert kinds(await at.keys()) == (17, 8)
    events = list(recorder.sent.values())
    await index_fragments(at.catalog, events, now_ms())
    await index_chunks(at.catalog, chunks, now_ms())
    assert await at.count("chunks") == 0
    assert await at.count("fragments") == 2, "those without chunk are not decided yet"
    what = ReconcileOptions(0, now_ms() + SOON_MS, 1, WINDOW_MS)
    found = [
        each async for each in Reconciler(at.store, at.catalog, what).events_to_send(at.camera)
    ]
    assert found == []
    healer = Healer(at.store, now_ms, at.catalog)
    request = HealRequested(camera=at.camera, run=recorder.run, window_start_ms=0, after_seq=-1)
    healed = [each async for each in healer.heal(request)]
    assert [getattr(each, "seq", None) for each in healed] == [15, 16, None]

    await enforce(at)
    await index_deleted(at.catalog, sent_tombstones(at))  # the index agent reads them too
    await index_chunks(at.catalog, chunks, now_ms())
    assert kinds(await at.keys()) == (0, 0)
    assert await at.count("chunks") == 0


async def test_the_healer_announces_deleted_fragments_that_are_in_chunks(at: Place) -> None:
    """A run that the assembler has forgotten: what is in chunks is not a gap."""
    recorder, _ = await filmed(at)
    await enforce(at)
    healer = Healer(at.store, now_ms, at.catalog)
    request = HealRequested(
        camera=at.camera,
        run=recorder.run,
        window_start_ms=START_MS,
        after_seq=1,
        before_seq=17,
        known=[(3, 4)],
    )
    *found, healed = [each async for each in healer.heal(request)]
    assert sorted(each.seq for each in found) == [2, *range(5, 17)]
    by_seq = {each.seq: each for each in found}
    for seq, event in recorder.sent.items():
        if seq in by_seq:
            assert by_seq[seq].sha256 == event.sha256
            assert (by_seq[seq].start_ms, by_seq[seq].end_ms) == (event.start_ms, event.end_ms)
            assert by_seq[seq].start_pts == event.start_pts
    assert healed.found == len(found)


@pytest.mark.slow
async def test_by_command(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules, holds and a pass with real tombstones, as an operator does it."""
    monkeypatch.setenv("VIGIL_TOPIC_PREFIX", at.camera.split("/")[1] + "-")
    get_settings.cache_clear()
    settings = get_settings()
    await ensure([topics.DELETED], settings=settings)
    dsn = at.catalog._dsn
    site = at.camera.rsplit("/", 1)[0]
    await filmed(at)
    assert (await vigil(dsn, "retention", "set", site, "--days", "1", "--who", "Ann"))[0] == 0
    assert "by Ann" in (await vigil(dsn, "retention", "show", at.camera))[1]
    since = format_ms(START_MS)
    held = await vigil(dsn, "hold", "add", at.camera, "--from", since, "--why", "case 7")
    assert (held[0], "Added hold 1 on" in held[1]) == (0, True)
    assert "case 7" in (await vigil(dsn, "hold", "list"))[1]
    assert json.loads((await vigil(dsn, "retention", "enforce"))[1])["held"] == 5
    assert kinds(await at.keys()) == (17, 8)
    assert len(json.loads((await vigil(dsn, "retention", "lifecycle"))[1])["Rules"]) == 1
    assert (await vigil(dsn, "hold", "lift", "1"))[0] == 0
    code, _, err = await vigil(dsn, "hold", "lift", "1")
    assert (code, err) == (1, "vigil: There is no hold 1; `vigil hold list` shows all.\n")
    assert len(json.loads((await vigil(dsn, "retention", "lifecycle"))[1])["Rules"]) == 3
    output = json.loads((await vigil(dsn, "retention", "enforce"))[1])
    assert output["objects"] == {"age": 25}
    code, out, _ = await vigil(dsn, "retention", "lifecycle", "--check")
    hidden = output["unsafe_lifecycle_rules"] is None  # the local store has no lifecycles
    assert (code, "does not show" in out) == (int(hidden), hidden)
    assert kinds(await at.keys()) == (0, 0)
    assert (await vigil(dsn, "retention", "clear", site))[0] == 0
    assert (await vigil(dsn, "retention", "clear", site))[0] == 1
    consumer = AIOKafkaConsumer(
        topics.DELETED.full_name, **client_options(settings), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        events = []
        while len(events) < 4:
            events.append(parse((await asyncio.wait_for(consumer.getone(), 30)).value))
    finally:
        await consumer.stop()
        get_settings.cache_clear()
    assert [(each.type, each.what) for each in events] == [
        *[("deleted", "chunk")] * 3,
        ("deleted", "fragments"),
    ]


async def test_rules_by_name(at: Place) -> None:
    await aged(at, 3)
    assert [(each.rule.days, each.set_by) for each in await list_rules(at.catalog)] == [
        (3, "tests")
    ]
    assert await clear_rule(at.catalog, at.camera, 1) == 3
    assert await clear_rule(at.catalog, at.camera, 1) is None
