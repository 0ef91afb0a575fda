"""`vigil fsck` on real servers: objects and rows are broken, reported, repaired, and then clean."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
import pytest_asyncio

from agents.consistency.check import CameraCheck, CheckScope
from agents.consistency.fsck import settle_ms
from agents.consistency.remover import Remover
from agents.joining.joiner import Joiner
from domain.consistency import Delete, GracePeriods, Inconsistency
from domain.events import ChunkComplete, ChunkDue, Deleted, Gap, encode
from domain.identity import chunk_key, fragment_key, manifest_key
from domain.retention import LegalHold
from domain.window_lengths import WindowLengths
from stores.catalog import Catalog, index_chunks, index_deleted
from stores.catalog.filled_gaps import chunks_with_filled_gaps
from stores.catalog.retention_rules import add_hold, lift_hold
from tests.conftest import Services
from tests.integration.consistency_support import (
    LATER_MS,
    START_MS,
    WINDOW_MS,
    Place,
    due_of,
    now_ms,
    place,
)

Break = Callable[[Place, list[ChunkComplete]], Awaitable[None]]


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def test_consistent_footage_has_no_findings(at: Place) -> None:
    await at.film()
    outcomes, counts = await at.check(bytes=True, all_=False)
    assert outcomes == []
    assert (counts.chunks, counts.fragments, counts.in_work) == (3, 15, 0)
    assert counts.bytes_read > 0


async def object_gone(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.store.delete([chunks[1].object_key])


async def bytes_tampered(at: Place, chunks: list[ChunkComplete]) -> None:
    data = bytearray(await at.store.get(chunks[1].object_key))
    data[chunks[1].fragments[2].offset + 200] ^= 1
    await at.overwrite(chunks[1].object_key, bytes(data))


async def truncated(at: Place, chunks: list[ChunkComplete]) -> None:
    data = await at.store.get(chunks[1].object_key)
    await at.overwrite(chunks[1].object_key, data[:-188])


async def manifest_gone(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.store.delete([manifest_key(chunks[1].object_key)])


async def manifest_garbled(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.overwrite(manifest_key(chunks[1].object_key), b"{}")


async def manifest_of_another(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.overwrite(manifest_key(chunks[1].object_key), encode(chunks[2]))


async def both_gone(at: Place, chunks: list[ChunkComplete]) -> None:
    key = chunks[1].object_key
    await at.store.delete([key, manifest_key(key)])


async def row_gone(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute("DELETE FROM chunks WHERE window_start_ms = $1", chunks[1].window_start_ms)


async def row_stale(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute(
        "UPDATE chunks SET revision = 0, digest = $2 WHERE window_start_ms = $1",
        *(chunks[1].window_start_ms, "0" * 32),
    )


async def row_ahead(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute(
        "UPDATE chunks SET revision = 7, digest = $2, object_key = 'chunks/nowhere.ts' "
        "WHERE window_start_ms = $1",
        *(chunks[1].window_start_ms, "0" * 32),
    )


async def row_wrong(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute(
        "UPDATE chunks SET width = 98 WHERE window_start_ms = $1", chunks[1].window_start_ms
    )


async def coverage_wrong(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute(
        "UPDATE chunks SET covered = '{}' WHERE window_start_ms = $1", chunks[1].window_start_ms
    )


async def reach_wrong(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute("UPDATE footage SET last_ms = last_ms - 1")


async def row_covered(at: Place, chunks: list[ChunkComplete]) -> None:
    await at.execute(
        "INSERT INTO fragments SELECT $1, $2::uuid, 6, $3, $4, 0, 10, 188, '', 'h264', NULL, 96,"
        " 64, NULL, 0, 0",
        *(at.camera, chunks[1].run, START_MS + 12_000, START_MS + 14_000),
    )


async def fragment_tampered(at: Place, chunks: list[ChunkComplete]) -> None:
    key = fragment_key(at.camera, chunks[1].run, 6)
    data = bytearray(await at.store.get(key))
    data[-1] ^= 1
    await at.overwrite(key, bytes(data))


async def row_twice(at: Place, chunks: list[ChunkComplete]) -> None:
    """A row of another window, without an object, names fragments that are in a chunk."""
    old = chunks[1].model_copy(
        update={
            "window_start_ms": START_MS,
            "window_ms": 2 * WINDOW_MS,
            "digest": "0" * 32,
            "object_key": chunk_key(at.camera, chunks[1].run, START_MS, 2 * WINDOW_MS, "0" * 32),
        }
    )
    await at.execute("DELETE FROM chunks WHERE window_start_ms < $1", START_MS + 2 * WINDOW_MS)
    await index_chunks(at.catalog, [old], now_ms())
    await at.execute("UPDATE chunks SET window_start_ms = $2 WHERE window_start_ms = $1",
                     START_MS, START_MS - 20_000)  # fmt: skip
    await index_chunks(at.catalog, chunks[:2], now_ms())


@pytest.mark.parametrize(
    ("breaks", "kind", "count"),
    [
        (object_gone, "manifest-without-object", 1),
        (bytes_tampered, "chunk-differs", 1),
        (truncated, "chunk-differs", 1),
        (manifest_gone, "object-without-manifest", 1),
        (manifest_garbled, "manifest-unreadable", 1),
        (manifest_of_another, "manifest-unreadable", 1),
        (both_gone, "row-without-object", 1),
        (row_gone, "row-missing", 1),
        (row_stale, "row-stale", 1),
        (row_ahead, "row-without-object", 1),
        (row_wrong, "row-differs", 1),
        (coverage_wrong, "coverage-differs", 1),
        (reach_wrong, "coverage-differs", 1),
        (row_covered, "fragment-row-covered", 1),
        (fragment_tampered, "fragment-differs", 1),
        (row_twice, "row-without-object", 1),
    ],
)
async def test_what_is_broken_is_reported_and_repaired(
    at: Place, breaks: Break, kind: str, count: int
) -> None:
    chunks = await at.film()
    before = {key: await at.store.get(key) for key in await at.keys()}
    await breaks(at, chunks)
    assert await at.kinds(bytes=True) == [kind] * count
    outcomes, _ = await at.check(bytes=True, repair=True)
    assert all(each.repaired for each in outcomes), outcomes
    assert await at.kinds(bytes=True) == []
    after = {key: await at.store.get(key) for key in await at.keys()}
    assert {key: data for key, data in after.items() if key.endswith(".ts")} == {
        key: data for key, data in before.items() if key.endswith(".ts")
    }
    assert after.keys() == before.keys()


async def test_a_gap_that_another_chunk_fills_is_reported_and_closed(at: Place) -> None:
    """Manifests of an older version may report it. The joiner makes a revision without it."""
    recorder = at.recorder()
    events = [await recorder.put(at.store, seq) for seq in range(10)]
    await at.join(recorder, range(4))
    end_ms = events[3].end_ms
    gap = Gap(from_ms=end_ms, to_ms=events[5].start_ms, first_seq=4, last_seq=4, reason="?")
    due = due_of(events[5:]).model_copy(update={"gaps": [gap]})
    with_gap = await Joiner(at.store, now_ms).join(due)
    await index_chunks(at.catalog, [with_gap], now_ms())
    filling = await at.join(recorder, range(5))
    for chunk in (filling, with_gap):
        assert await chunks_with_filled_gaps(at.catalog, chunk) == [with_gap]
    assert await at.kinds(later_ms=0) == []
    assert await at.kinds() == ["gap-filled"]
    outcomes, _ = await at.check(repair=True)
    assert [each.repaired for each in outcomes] == [True]
    (asked,) = at.sent.events

    async def catalog() -> Catalog:
        return at.catalog

    assert isinstance(asked, ChunkDue)
    closed = await Joiner(at.store, now_ms, catalog).join(asked)
    assert closed == with_gap.model_copy(update={"revision": 2, "gaps": []})
    await index_chunks(at.catalog, [closed], now_ms())
    assert await at.kinds(bytes=True) == []
    assert await Joiner(at.store, now_ms, catalog).join(asked) == closed, "twice changes nothing"


async def test_lost_bytes_are_reported_and_nothing_is_written(at: Place) -> None:
    chunks = await at.film()
    await at.store.delete([chunks[1].object_key, fragment_key(at.camera, chunks[1].run, 6)])
    outcomes, _ = await at.check(repair=True)
    assert [each.finding.kind for each in outcomes] == ["manifest-without-object"]
    assert not outcomes[0].repaired and "fragment 6" in outcomes[0].text
    assert chunks[1].object_key not in await at.keys()


async def test_a_damaged_chunk_is_repaired_from_its_undamaged_ranges(at: Place) -> None:
    chunks = await at.film()
    whole = await at.store.get(chunks[1].object_key)
    gone = [fragment_key(at.camera, chunks[1].run, seq) for seq in (5, 6, 8, 9)]
    await at.store.delete(gone)  # retention: the chunk is all there is, but for fragment 7
    await bytes_tampered(at, chunks)
    outcomes, _ = await at.check(repair=True, bytes=True)
    assert [each.repaired for each in outcomes] == [True]
    assert await at.store.get(chunks[1].object_key) == whole


async def test_an_unjoined_fragment_is_announced(at: Place) -> None:
    await at.film()
    recorder = at.recorder()
    event = await recorder.put(at.store, 15)
    outcomes, counts = await at.check(later_ms=0)
    assert (outcomes, counts.in_work) == ([], 1)
    outcomes, _ = await at.check(repair=True)
    assert [each.finding.kind for each in outcomes] == ["fragment-unjoined"]
    assert outcomes[0].finding.at_ms == event.start_ms
    assert at.sent.events == [event]


async def test_what_the_assembler_takes_for_joined_is_asked_of_the_joiner(at: Place) -> None:
    await at.film()
    recorder = at.recorder()
    for seq in (15, 16, 20):
        await at.announce(await recorder.put(at.store, seq))
    assert await at.kinds(later_ms=0) == []
    outcomes, _ = await at.check(repair=True)
    assert [each.finding.kind for each in outcomes] == ["fragment-stuck"] * 3
    asked = [event for event in at.sent.events if isinstance(event, ChunkDue)]
    assert [[each.seq for each in due.fragments] for due in asked] == [[15, 16], [20]]
    for due in asked:
        chunk = await Joiner(at.store, now_ms).join(due)
        await index_chunks(at.catalog, [chunk], now_ms())
    assert await at.kinds(bytes=True) == []


async def test_a_fragment_left_out_for_its_bytes_is_not_a_finding(at: Place) -> None:
    chunks = await at.film()
    recorder = at.recorder()
    for seq in (15, 16):
        await at.announce(await recorder.put(at.store, seq))
    key = fragment_key(at.camera, chunks[0].run, 15)
    await at.overwrite(key, (await at.store.get(key))[:-188] + bytes(188))
    chunk = await at.join(recorder, range(15, 17))
    assert [gap.first_seq for gap in chunk.gaps] == [15]
    assert await at.kinds(bytes=True) == []


async def test_a_chunk_made_again_over_other_windows_is_buried(at: Place) -> None:
    chunks = await at.film()
    recorder = at.recorder()
    old = await at.join(
        recorder, range(10), window_ms=2 * WINDOW_MS, clock_ms=START_MS, indexed=False
    )
    assert await at.kinds() == ["fragment-doubled"]
    outcomes, _ = await at.check(repair=True)
    assert [each.finding.key for each in outcomes] == [old.object_key]
    (buried,) = at.sent.events
    assert isinstance(buried, Deleted) and buried.digest == old.digest
    assert await at.kinds(later_ms=0) == []  # buried just now: its object is in work
    outcomes, _ = await at.check(repair=True)
    assert {each.finding.kind for each in outcomes} == {"tombstoned-stands"}
    assert await at.kinds(bytes=True) == []
    assert {chunk.object_key for chunk in chunks} < set(await at.keys())
    assert old.object_key not in await at.keys()


async def test_what_was_deleted_stays_deleted(at: Place) -> None:
    chunks = await at.film()
    await index_deleted(at.catalog, [_buried(chunks[0]), _fragments_buried(chunks[0])])
    assert await at.kinds(later_ms=0) == []
    assert set(await at.kinds()) == {"tombstoned-stands"}
    await at.check(repair=True)
    assert at.sent.events == []
    keys = await at.keys()
    assert not any(key.startswith(chunks[0].object_key[:-3]) for key in keys)
    assert len([key for key in keys if key.startswith("fragments/")]) == 10
    assert await at.kinds(bytes=True) == []


async def test_a_fragment_of_a_deleted_chunk_is_not_announced(at: Place) -> None:
    chunks = await at.film()
    await index_deleted(at.catalog, [_buried(chunks[0])])
    await at.store.delete([chunks[0].object_key, manifest_key(chunks[0].object_key)])
    outcomes, _ = await at.check(repair=True)
    assert {each.finding.kind for each in outcomes} == {"tombstoned-stands"}
    assert at.sent.events == []
    assert not any(each.repaired for each in outcomes)  # the tombstone does not name the fragments


async def test_more_than_half_is_never_deleted(at: Place) -> None:
    chunks = await at.film()
    await index_deleted(at.catalog, [_buried(chunk) for chunk in chunks[:2]])
    before = await at.keys()
    outcomes, _ = await at.check(repair=True)
    refused = [each for each in outcomes if isinstance(each.finding.repair, Delete)]
    assert len(refused) == 4
    assert all(not each.repaired and "more than half" in each.text for each in refused)
    assert await at.keys() == before


async def test_a_legal_hold_keeps_what_is_tombstoned(at: Place) -> None:
    chunks = await at.film()
    hold = LegalHold(at.camera, START_MS, START_MS + 1)
    number, _ = await add_hold(at.catalog, hold, "court", "case 7", now_ms())
    await index_deleted(at.catalog, [_buried(chunks[0]), _fragments_buried(chunks[0])])
    before = await at.keys()
    outcomes, _ = await at.check(repair=True)
    kept = {each.finding.key for each in outcomes if each.text == "a legal hold covers it"}
    assert {chunks[0].object_key, fragment_key(at.camera, chunks[0].run, 0)} <= kept
    assert kept <= set(await at.keys())
    await lift_hold(at.catalog, number, "court", now_ms())
    await at.check(repair=True)
    assert await at.kinds() == []
    assert len(await at.keys()) == len(before) - 7


async def test_what_retention_has_under_way_is_left_to_it(at: Place) -> None:
    chunks = await at.film()
    await index_deleted(at.catalog, [_buried(chunks[0]), _fragments_buried(chunks[0])])
    for what in ("chunk", "fragments"):
        await at.execute(
            "INSERT INTO deletions (camera, run, what, first_seq, last_seq, window_start_ms,"
            " digest, cause, from_ms, to_ms, size_bytes, decided_ms)"
            " SELECT camera, run, what, first_seq, last_seq, window_start_ms, digest, 'age', 0, 1,"
            " 0, deleted_ms FROM tombstones WHERE what = $1",
            what,
        )
    outcomes, counts = await at.check(repair=True)
    assert (outcomes, counts.in_work) == ([], 7)


async def test_an_orphan_goes_after_a_day_and_not_before(at: Place) -> None:
    chunks = await at.film()
    key = chunk_key(at.camera, chunks[0].run, START_MS, WINDOW_MS, "f" * 32)
    await at.store.put_once(key, b"\0" * 188, sha256=_sha(b"\0" * 188), metadata={})
    assert await at.kinds(later_ms=0) == []
    outcomes, _ = await at.check(repair=True)
    assert [(each.finding.kind, each.repaired) for each in outcomes] == [
        ("object-without-manifest", False)
    ]
    assert key in await at.keys()
    outcomes, _ = await at.check(repair=True, later_ms=LATER_MS)
    assert [each.text for each in outcomes] == ["deleted"]
    assert key not in await at.keys()
    assert await at.kinds(later_ms=LATER_MS, bytes=True) == []


async def test_it_checks_again_under_the_lock_before_it_deletes(at: Place) -> None:
    chunks = await at.film()
    check = CameraCheck(
        at.store,
        at.catalog,
        at.camera,
        CheckScope(),
        GracePeriods(now_ms() + LATER_MS, settle_ms(at.settings)),
        WindowLengths.always(WINDOW_MS),
    )
    young = replace(check, grace=GracePeriods(now_ms(), 0))
    _, counts = await at.check()
    texts = []
    for each, key in (
        (check, chunks[0].object_key),
        (check, manifest_key(chunks[0].object_key)),
        (young, fragment_key(at.camera, chunks[0].run, 0)),
    ):
        remover = Remover(each, at.sent)  # type: ignore[arg-type]
        repair = Delete(key, tombstoned=False)
        assert remover.accept(Inconsistency("object-unknown", at.camera, "", repair=repair))
        texts += [outcome.text for outcome in await remover.delete_collected(counts)]
    assert texts == ["a row refers to it", "a row refers to it", "it was written again"]
    assert len(await at.keys()) == 15 + 6


async def test_a_row_without_object_of_a_fragment_goes_after_a_day(at: Place) -> None:
    await at.film()
    recorder = at.recorder()
    for seq in (15, 16, 17):
        await at.announce(await recorder.put(at.store, seq))
    await at.store.delete([fragment_key(at.camera, recorder.run, 17)])
    rows = [each for each in (await at.check())[0] if each.finding.seq == 17]
    assert [each.finding.kind for each in rows] == ["fragment-row-without-object"]
    assert rows[0].finding.repair is None
    outcomes, _ = await at.check(repair=True, later_ms=LATER_MS)
    assert [each.text for each in outcomes if each.finding.seq == 17] == ["row removed"]
    assert await at.count("fragments") == 2


async def test_only_the_scope_is_checked(at: Place) -> None:
    chunks = await at.film()
    await object_gone(at, chunks)
    after = {"from_ms": START_MS + 2 * WINDOW_MS}
    outcomes, counts = await at.check(**after)
    assert (outcomes, counts.chunks) == ([], 1)
    assert await at.kinds(to_ms=START_MS + WINDOW_MS) == []
    assert await at.kinds(from_ms=START_MS + WINDOW_MS, to_ms=START_MS + 2 * WINDOW_MS) == [
        "manifest-without-object"
    ]


async def test_strangers_are_named(at: Place) -> None:
    await at.film()
    await at.execute("DELETE FROM cameras WHERE id = $1", at.camera)
    reported = {each.finding.camera: each for each in (await at.check(all_=True))[0]}
    assert reported[at.camera].finding.kind == "camera-unknown"


async def test_findings_as_json(at: Place) -> None:
    await object_gone(at, await at.film())
    ((outcome,), _) = await at.check()
    line = json.loads(json.dumps(outcome.finding.as_json()))
    assert (line["kind"], line["camera"]) == ("manifest-without-object", at.camera)
    assert line["mend"] == "Restore" and line["at_ms"] == START_MS + WINDOW_MS


def _buried(chunk: ChunkComplete) -> Deleted:
    return Deleted(
        camera=chunk.camera,
        run=chunk.run,
        what="chunk",
        window_start_ms=chunk.window_start_ms,
        digest=chunk.digest,
        reason="older than its retention",
        deleted_ms=now_ms(),
    )


def _fragments_buried(chunk: ChunkComplete) -> Deleted:
    return Deleted(
        camera=chunk.camera,
        run=chunk.run,
        what="fragments",
        first_seq=chunk.fragments[0].seq,
        last_seq=chunk.fragments[-1].seq,
        reason="older than their retention",
        deleted_ms=now_ms(),
    )


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
