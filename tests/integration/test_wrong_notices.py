"""Two notices disagree, or a notice and S3: the bytes in S3 decide, and no footage is hidden."""

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.healing.reconciler import ReconcileOptions, Reconciler
from agents.indexing.corrections import correct_rows, true_runs
from agents.joining.join_errors import NothingInWindowError
from agents.joining.joiner import Joiner
from domain.events import ChunkDue, FragmentArrived, RunEnded, RunStarted, encode
from domain.identity import fragment_key, run_end_key
from stores.catalog import index_chunks
from stores.catalog.index import differing_fragments, replace_fragments
from stores.catalog.timeline import list_fragments
from stores.objects import ObjectStore
from stores.queue import Queue
from tests.cloud import Cloud
from tests.conftest import Services
from tests.integration.consistency_support import (
    SOON_MS,
    START_MS,
    WINDOW_MS,
    Place,
    due_of,
    now_ms,
    place,
)
from tests.outcome import all_in_chunks, registered
from tests.recorder import Recorder
from tests.waiting import wait_for


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


def forged(event: FragmentArrived, **changes: object) -> FragmentArrived:
    """Return a notice of the same fragment with a hash and a size of its own."""
    wrong: dict[str, object] = {"sha256": "f" * 64, "size_bytes": 188, "width": 16, "height": 16}
    return event.model_copy(update=wrong | changes)


def misdated(event: FragmentArrived, start_ms: int) -> FragmentArrived:
    """Return a notice with the true hash and another time."""
    return event.model_copy(update={"start_ms": start_ms})


async def put_end(store: ObjectStore, recorder: Recorder, last_seq: int) -> RunEnded:
    """Write a run's end.json without saying so."""
    end = RunEnded(
        camera=recorder.camera, run=recorder.run, ended_ms=START_MS, last_seq=last_seq, reason="off"
    )
    data = encode(end)
    sha256 = hashlib.sha256(data).hexdigest()
    key = run_end_key(recorder.camera, recorder.run)
    await store.put_once(key, data, sha256=sha256, metadata={})
    return end


class TestJoiner:
    async def test_a_fragment_is_joined_as_s3_has_it(self, at: Place) -> None:
        recorder = at.recorder()
        events = [await recorder.put(at.store, seq) for seq in range(5)]
        larger = forged(events[3], size_bytes=1 << 25)
        notices = [events[0], forged(events[1]), events[2], larger, events[4]]
        chunk = await Joiner(at.store, now_ms).join(due_of(notices))
        assert [each.sha256 for each in chunk.fragments] == [each.sha256 for each in events]
        assert chunk.gaps == []

    async def test_what_belongs_to_another_window_goes_there(self, at: Place) -> None:
        recorder = at.recorder()
        events = [await recorder.put(at.store, seq) for seq in (0, 1, 5)]
        moved = forged(events[2], start_ms=START_MS + 4_000)
        joiner = Joiner(at.store, now_ms)
        chunk = await joiner.join(due_of([*events[:2], moved]))
        assert [each.seq for each in chunk.fragments] == [0, 1]
        assert joiner.misplaced == [events[2]]
        event = await at.recorder(1).put(at.store, 5)
        with pytest.raises(NothingInWindowError):
            await joiner.join(due_of([forged(event, start_ms=START_MS)]))
        assert joiner.misplaced == [event]

    async def test_the_time_in_s3_counts_where_a_notice_has_another(self, at: Place) -> None:
        recorder = at.recorder()
        events = [await recorder.put(at.store, seq) for seq in range(5)]
        moved = misdated(events[2], events[2].start_ms + 30_000)
        joiner = Joiner(at.store, now_ms)
        chunk = await joiner.join(due_of([*events[:2], moved, *events[3:]]))
        assert [each.start_ms for each in chunk.fragments] == [each.start_ms for each in events]
        other = await at.recorder(1).put(at.store, 0)
        elsewhere = misdated(other, other.start_ms + 10 * WINDOW_MS)
        due = due_of([elsewhere]).model_copy(update={"window_start_ms": START_MS + 10 * WINDOW_MS})
        with pytest.raises(NothingInWindowError):
            await joiner.join(due)
        assert joiner.misplaced == [other]


class TestRunEnds:
    async def test_the_end_is_what_s3_says(self, at: Place) -> None:
        recorder, running = at.recorder(), at.recorder(1)
        end = await put_end(at.store, recorder, 4)
        started = RunStarted(
            camera=at.camera, run=recorder.run, started_ms=START_MS, edge="gate-pc"
        )
        lie = end.model_copy(update={"last_seq": 1, "reason": "stolen", "given_up": [(0, 1)]})
        unknown = lie.model_copy(update={"run": running.run})
        notices = [started, lie, unknown, end]
        assert await true_runs(at.store, notices) == [started, end, end]
        assert await true_runs(at.store, notices, keep_unknown=True) == [started, end, unknown, end]
        await at.overwrite(run_end_key(at.camera, recorder.run), encode(unknown))
        assert await true_runs(at.store, [end]) == [], "it names another run"


class TestConsistency:
    async def hidden(self, at: Place) -> FragmentArrived:
        """Make a chunk as it was made before S3 decided: without a whole fragment."""
        recorder = at.recorder()
        events = [recorder.film(seq)[0] for seq in range(5)]
        for seq in (0, 1, 3, 4):
            await recorder.put(at.store, seq)
        key, data = fragment_key(at.camera, recorder.run, 2), bytes(188)
        sha256 = hashlib.sha256(data).hexdigest()
        await at.store.put_once(key, data, sha256=sha256, metadata={})
        chunk = await Joiner(at.store, now_ms).join(due_of(events))
        assert [gap.first_seq for gap in chunk.gaps] == [2]
        await index_chunks(at.catalog, [chunk], now_ms())
        await at.store.delete([key])
        return await recorder.put(at.store, 2)

    async def test_fsck_finds_it_and_brings_it_back(self, at: Place) -> None:
        event = await self.hidden(at)
        assert await at.kinds(later_ms=0) == []  # its chunk may just be in progress
        outcomes, _ = await at.check(repair=True)
        assert [each.finding.kind for each in outcomes] == ["fragment-left-out"]
        (due,) = at.sent.events
        assert isinstance(due, ChunkDue)
        chunk = await Joiner(at.store, now_ms).join(due)
        await index_chunks(at.catalog, [chunk], now_ms())
        assert (chunk.revision, chunk.gaps) == (2, [])
        assert event.sha256 in [each.sha256 for each in chunk.fragments]
        assert await at.kinds(bytes=True) == []

    async def test_the_reconciler_announces_it(self, at: Place) -> None:
        event = await self.hidden(at)
        options = ReconcileOptions(START_MS, now_ms() + SOON_MS, 0, WINDOW_MS)
        reconciler = Reconciler(at.store, at.catalog, options)
        assert [each async for each in reconciler.events_to_send(at.camera)] == [event]
        key = fragment_key(at.camera, event.run, 2)
        await at.overwrite(key, bytes(event.size_bytes))  # now its metadata are wrong
        assert [each async for each in reconciler.events_to_send(at.camera)] == []


class TestRows:
    async def test_the_row_is_that_of_the_bytes_in_s3(self, at: Place) -> None:
        recorder = at.recorder()
        true = await recorder.put(at.store, 0)
        wrong = forged(true, start_ms=START_MS + 60_000)
        late = misdated(true, START_MS + 120_000)
        for first, second in ((wrong, true), (true, wrong), (late, true), (true, late)):
            await at.announce(first)  # so that the camera has footage
            await replace_fragments(at.catalog, [first], now_ms())
            await correct_rows(at.catalog, at.store, [second, first], now_ms())
            (row,) = await list_fragments(at.catalog, at.camera, 0, 1 << 47)
            assert (row["start_ms"], row["seq"]) == (START_MS, 0)
            assert await differing_fragments(at.catalog, [true]) == []


@pytest.mark.asyncio(loop_scope="module")
class TestStream:
    @pytest.mark.parametrize(
        "when", ["before the true notices", "before the objects", "with true hashes"]
    )
    async def test_no_order_of_notices_hides_footage(
        self, cloud: Cloud, store: ObjectStore, queue: Queue, names: str, when: str
    ) -> None:
        recorder = Recorder(await registered(cloud, f"acme/{names}/{when[-3:]}"), START_MS)
        if when == "before the objects":
            for seq in range(6):
                assert await queue.send([encode(forged(recorder.film(seq)[0]))]) == []

            async def sealed() -> bool:
                async with cloud.catalog() as catalog, catalog.transaction() as connection:
                    query = "SELECT count(*) FROM lost_windows WHERE camera = $1"
                    return bool(await connection.fetchval(query, recorder.camera))

            await wait_for(sealed, within_s=60, what=cloud.tails)
        elif when == "with true hashes":
            for seq in (1, 2, 7):
                event = await recorder.put(store, seq)
                lie = misdated(event, event.start_ms + (seq - 4) * 300_000)
                assert await queue.send([encode(lie)]) == []
            end = RunEnded(
                camera=recorder.camera,
                run=recorder.run,
                ended_ms=START_MS,
                last_seq=2,
                reason="stolen",
                given_up=[(0, 1)],
            )
            assert await queue.send([encode(end)]) == []
        else:
            for seq in (1, 2, 7):
                await recorder.put(store, seq)
                assert await queue.send([encode(forged(recorder.film(seq)[0]))]) == []
        for seq in range(12):
            await recorder.record(store, queue, seq)
        await recorder.end(store, queue, 11)
        chunks = await all_in_chunks(cloud, store, recorder)
        assert [gap for chunk in chunks for gap in chunk.gaps] == []
        times = {each.seq: each.start_ms for chunk in chunks for each in chunk.fragments}
        assert times == {seq: event.start_ms for seq, event in recorder.sent.items()}
