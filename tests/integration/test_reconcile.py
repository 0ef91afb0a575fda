"""`vigil reconcile` on a real S3 and catalog: what is sent, what is not, at how many requests."""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from agents.consistency.fsck import settle_ms
from agents.healing.reconciler import ReconcileOptions, Reconciler
from domain.events import Deleted, Event, FragmentArrived, RunEnded, encode
from domain.identity import fragment_key, run_end_key
from stores.catalog import index_deleted, index_runs
from stores.objects import ObjectStore
from tests.conftest import Services
from tests.integration.consistency_support import (
    SOON_MS,
    START_MS,
    WINDOW_MS,
    Place,
    now_ms,
    place,
)
from tests.recorder import Recorder


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


def end_of(recorder: Recorder, last_seq: int) -> RunEnded:
    return RunEnded(
        camera=recorder.camera,
        run=recorder.run,
        ended_ms=recorder.start_ms + (last_seq + 1) * recorder.duration_ms,
        last_seq=last_seq,
        reason="camera closed",
    )


async def put_end(at: Place, end: RunEnded) -> None:
    data = encode(end)
    await at.store.put_once(
        run_end_key(end.camera, end.run),
        data,
        sha256=hashlib.sha256(data).hexdigest(),
        metadata={},
    )


async def reconciled(
    at: Place, *, later_ms: int = SOON_MS, since_ms: int = START_MS, **more: Any
) -> tuple[list[Event], Reconciler]:
    options = ReconcileOptions(
        since_ms, now_ms() + later_ms, settle_ms(at.settings), WINDOW_MS, **more
    )
    reconciler = Reconciler(at.store, at.catalog, options)
    return [event async for event in reconciler.events_to_send(at.camera)], reconciler


def requests(store: ObjectStore) -> Counter[str]:
    """Count the requests that the store's client makes from now on, by operation."""
    made: Counter[str] = Counter()

    def count(request: Any, operation_name: str = "", event_name: str = "", **_: Any) -> None:
        made[event_name.rsplit(".", 1)[1]] += 1

    store._client.meta.events.register("before-send.s3", count)
    return made


async def test_an_unannounced_run_is_sent_with_its_end(at: Place) -> None:
    await at.film()
    recorder = at.recorder(1, START_MS + 3_600_000)
    events = [await recorder.put(at.store, seq) for seq in range(4)]
    await put_end(at, end_of(recorder, 3))
    sent, reconciler = await reconciled(at, later_ms=0)
    assert (sent, reconciler.in_progress) == ([], 5)
    sent, _ = await reconciled(at)
    assert sent == [*events, end_of(recorder, 3)]


async def test_what_the_catalog_knows_is_not_sent(at: Place) -> None:
    await at.film()
    recorder = at.recorder()
    await at.announce(await recorder.put(at.store, 15))
    await put_end(at, end_of(recorder, 15))
    await index_runs(at.catalog, [end_of(recorder, 15)])
    assert (await reconciled(at))[0] == []


async def test_a_hole_in_a_run_is_filled(at: Place) -> None:
    recorder = at.recorder()
    for seq in range(6):
        await recorder.put(at.store, seq)
    await at.join(recorder, [0, 1, 3, 4])
    assert [_seq(event) for event in (await reconciled(at))[0]] == [2, 5]


async def test_what_was_deleted_is_not_sent(at: Place) -> None:
    recorder = at.recorder()
    events = [await recorder.put(at.store, seq) for seq in range(15)]
    await index_deleted(
        at.catalog,
        [
            _deleted(events[0], "fragments", first_seq=0, last_seq=4),
            _deleted(events[0], "chunk", window_start_ms=START_MS + WINDOW_MS, digest="0" * 32),
        ],
    )
    assert [_seq(event) for event in (await reconciled(at))[0]] == [10, 11, 12, 13, 14]


async def test_an_object_that_does_not_say_what_it_is_is_passed_over(at: Place) -> None:
    recorder = at.recorder()
    event, data = recorder.film(0)
    key = fragment_key(at.camera, recorder.run, 0)
    await at.store.put_once(key, data, sha256=event.sha256, metadata={"camera": "x"})
    sent, reconciler = await reconciled(at)
    assert (sent, reconciler.unreadable) == ([], 1)


async def test_a_pass_is_bounded_and_the_next_goes_on(at: Place) -> None:
    recorder = at.recorder()
    for seq in range(6):
        await recorder.put(at.store, seq)
    await put_end(at, end_of(recorder, 5))
    first, _ = await reconciled(at, max_fragments=4)
    assert [_seq(event) for event in first] == [0, 1, 2, 3]  # the end waits for the rest
    await at.announce(*(event for event in first if isinstance(event, FragmentArrived)))
    second, _ = await reconciled(at, max_fragments=4)
    assert [getattr(event, "seq", "end") for event in second] == [4, 5, "end"]


async def test_a_run_that_ended_before_is_not_listed(at: Place) -> None:
    recorder = at.recorder()
    await recorder.put(at.store, 0)
    await index_runs(at.catalog, [end_of(recorder, 0)])
    made = requests(at.store)
    assert (await reconciled(at, since_ms=START_MS + 3_600_000))[0] == []
    assert made == {"ListObjectsV2": 1}


@pytest.mark.slow
async def test_the_requests_are_those_that_are_stated(at: Place) -> None:
    """ceil((R + 1) / 1000) + sum ceil((F + 2) / 1000) + min(U, most) + E."""
    fragments, silent, most = [1_003, 15, 4], {0: {7, 1_000}, 2: {0, 1, 2, 3}}, 5
    for number, count in enumerate(fragments):
        recorder = at.recorder(number, START_MS + number * 3_600_000)
        event, data = recorder.film(0)
        for seq in range(count):
            known = event.model_copy(
                update={"seq": seq, "start_ms": event.start_ms + seq * recorder.duration_ms}
            )
            key = fragment_key(at.camera, recorder.run, seq)
            await at.store.put_once(key, data, sha256=known.sha256, metadata=known.metadata())
            if seq not in silent.get(number, set()):
                await at.announce(known)
        await put_end(at, end_of(recorder, count - 1))
    made = requests(at.store)
    sent, _ = await reconciled(at, max_fragments=most)
    unannounced = sum(map(len, silent.values()))
    assert [getattr(event, "seq", "end") for event in sent] == [7, 1_000, "end", "end", 0, 1, 2]
    listed = 1 + sum(-(-(count + 2) // 1_000) for count in fragments)
    assert made["ListObjectsV2"] <= listed == 5
    assert made["HeadObject"] == min(unannounced, most)
    assert made["GetObject"] == 2  # the third run's end waits for its fragments
    assert sum(made.values()) <= listed + min(unannounced, most) + len(fragments)


def _seq(event: Event) -> int:
    assert isinstance(event, FragmentArrived)
    return event.seq


def _deleted(event: FragmentArrived, what: str, **fields: Any) -> Deleted:
    return Deleted.model_validate(
        {
            "camera": event.camera,
            "run": event.run,
            "what": what,
            "reason": "older than its retention",
            "deleted_ms": now_ms(),
            **fields,
        }
    )
