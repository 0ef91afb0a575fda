"""Stretches of a partition as one message: nothing is lost, and each record counts for itself."""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery import record_batch
from streams.delivery.record_batch import stretches
from tests.unit.streams.fakes import OTHER, SOURCE, Client, drain, in_progress, make, resume


async def ready(client: Client, **hooks: Any) -> Any:
    consumer = make(client, **hooks)
    consumer.app.batched_topics.add(SOURCE.topic)
    await consumer.perform_seek()
    resume(consumer)
    return consumer


async def fetch(consumer: Any) -> list[Any]:
    """Fetch once; return the batches that a stream puts into its queue."""
    batches = []
    async for _tp, batch in consumer.getmany(timeout=0.01):
        batch.incref(1)
        batches.append(batch)
    return batches


def begin(consumer: Any, batch: Any) -> list[int]:
    return [got.offset for got in consumer.begin(in_progress(consumer, batch))]


async def committed(client: Client, consumer: Any) -> int:
    await consumer.commit()
    return client.commits.get(SOURCE, 0)


async def test_what_is_fetched_together_is_one_message_and_each_record_counts() -> None:
    client = Client({SOURCE: range(5)})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    assert begin(consumer, batch) == [0, 1, 2, 3, 4]
    consumer.processed(batch, [0, 1, 3])
    consumer.end(batch)
    assert await committed(client, consumer) == 2  # 2 was given back


async def test_a_batch_by_itself_acknowledges_nothing() -> None:
    """Faust's iterator, compiled or not, acknowledges each message when its loop body ends."""
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    begin(consumer, batch)
    batch.ack(consumer)
    assert await committed(client, consumer) == 0


async def test_a_batch_grows_while_it_waits_and_not_when_it_is_begun() -> None:
    client = Client({SOURCE: range(2)})
    consumer = await ready(client)
    (first,) = await fetch(consumer)
    begin(consumer, first)
    client.logs[SOURCE] += [2, 3]
    (second,) = await fetch(consumer)
    client.logs[SOURCE] += [4]
    assert await fetch(consumer) == []
    assert begin(consumer, second) == [2, 3, 4]
    client.logs[SOURCE] += [5]
    (third,) = await fetch(consumer)
    assert begin(consumer, third) == [5]
    assert [got.offset for got in first.records] == [0, 1]


async def test_a_full_batch_keeps_its_partition_from_being_fetched_until_it_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record_batch, "FULL", 4)
    client = Client({SOURCE: range(3), OTHER: []})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    client.logs[SOURCE] += [3, 4]
    await fetch(consumer)
    client.logs[SOURCE] += [5]
    assert await fetch(consumer) == []
    assert begin(consumer, batch) == [0, 1, 2, 3, 4]
    (rest,) = await fetch(consumer)
    assert begin(consumer, rest) == [5]


async def test_what_no_stream_took_is_fetched_again() -> None:
    """The flow stops, or the callback is cancelled, before the batch is in a queue."""
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    async for _tp, _batch in consumer.getmany(timeout=0.01):
        pass  # and nothing counts a reference
    assert client.positions[SOURCE] == 0
    (batch,) = await fetch(consumer)
    assert begin(consumer, batch) == [0, 1, 2]


async def test_what_a_stopped_flow_interrupted_is_fetched_again() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    async for _tp, batch in consumer.getmany(timeout=0.01):
        batch.incref(1)
        consumer.stop_flow()
    assert client.positions[SOURCE] == 0
    await consumer.perform_seek()
    resume(consumer)
    client.logs[SOURCE] += [3]
    (again,) = await fetch(consumer)
    assert begin(consumer, again) == [0, 1, 2, 3]


async def test_a_void_batch_does_not_grow_and_counts_for_nothing() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    (waiting,) = await fetch(consumer)
    await consumer.perform_seek()
    resume(consumer)
    (again,) = await fetch(consumer)
    assert again is not waiting and len(waiting.records) == 3

    begin(consumer, again)
    await consumer.perform_seek()
    resume(consumer)
    assert again.acked  # handling begins nothing more of it
    consumer.processed(again, [0, 1, 2])
    consumer.end(again)
    assert await committed(client, consumer) == 0
    (third,) = await fetch(consumer)
    assert begin(consumer, third) == [0, 1, 2]


async def test_a_batch_of_an_older_generation_does_not_grow() -> None:
    client = Client({SOURCE: range(2)})
    consumer = await ready(client)
    (old,) = await fetch(consumer)
    consumer.app.consumer_generation_id = 2
    client.logs[SOURCE] += [2]
    (new,) = await fetch(consumer)
    assert (len(old.records), len(new.records)) == (2, 1)


async def test_partitions_that_go_take_their_batches_with_them() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    begin(consumer, batch)
    await consumer.on_partitions_revoked({SOURCE})
    consumer.processed(batch, [0, 1, 2])
    consumer.end(batch)
    assert await committed(client, consumer) == 0


async def test_work_in_progress_is_waited_for_until_its_batch_ends() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    begin(consumer, batch)
    consumer.processed(batch, [0])
    waiting = asyncio.create_task(consumer.wait_empty())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    consumer.end(batch)
    gc.collect()
    await asyncio.wait_for(waiting, 30)
    assert client.commits[SOURCE] == 1


async def test_a_jump_is_gone_back_to() -> None:
    client = Client({SOURCE: range(10)})
    consumer = await ready(client)
    client.positions[SOURCE] = 6
    assert await fetch(consumer) == []
    (batch,) = await fetch(consumer)
    assert begin(consumer, batch) == list(range(10))


async def test_a_hole_in_the_log_is_passed_once_it_stayed() -> None:
    client = Client({SOURCE: [0, 1, 2, 7, 8]})
    consumer = await ready(client)
    (batch,) = await fetch(consumer)
    assert [got.offset for got in batch.records] == [0, 1, 2]
    await fetch(consumer)  # 7 is there the second time too
    assert begin(consumer, batch) == [0, 1, 2, 7, 8]
    consumer.processed(batch, [0, 1, 2, 7, 8])
    assert await committed(client, consumer) == 9


async def test_the_base_loop_takes_batches_for_neither_gaps_nor_repeats() -> None:
    seen: list[int] = []

    async def handle(batch: Any) -> None:
        batch.incref(1)
        offsets = begin(consumer, batch)
        seen.extend(offsets)
        consumer.processed(batch, offsets)
        consumer.end(batch)
        if offsets[-1] < 9:
            client.logs[SOURCE] += range(offsets[-1] + 1, offsets[-1] + 3)

    client = Client({SOURCE: range(4)})
    client.commits[SOURCE] = 2
    consumer = await ready(client, callback=handle)
    await drain(consumer, fetches=6)
    assert seen == list(range(2, 10))
    assert await committed(client, consumer) == 10


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30))
def test_stretches_are_the_records_without_holes(steps: Sequence[int]) -> None:
    offsets = [sum(steps[: at + 1]) for at in range(len(steps))]
    found = [[got.offset for got in some] for some in stretches(records(offsets))]
    assert [offset for some in found for offset in some] == offsets
    assert all(some == list(range(some[0], some[-1] + 1)) for some in found)
    assert all(before[-1] + 1 < after[0] for before, after in pairwise(found))


def records(offsets: Sequence[int]) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


STEPS = st.sampled_from(
    ["arrive", "fetch", "lose", "begin", "work", "work", "give back", "end", "commit",
     "move", "stop", "pause", "kill"]
)  # fmt: skip


class Worker:
    """A consumer and the stream on it, one small step at a time; what it did is checked."""

    def __init__(self) -> None:
        self.client = Client({SOURCE: []})
        self.done: set[int] = set()
        self.checks = 0

    async def start(self) -> None:
        self.consumer = await ready(self.client)
        self.queue: list[Any] = []
        self.batch: Any = None
        self.left: Iterator[int] = iter(())
        self.newest = -1

    async def step(self, what: str) -> None:
        consumer, client = self.consumer, self.client
        match what:
            case "arrive":
                end = client.highwater(SOURCE)
                client.logs[SOURCE] += range(end, end + 3)
            case "fetch":
                self.queue += await fetch(consumer)
            case "lose":  # no stream takes what is handed over
                async for _ in consumer.getmany(timeout=0.01):
                    pass
            case "begin" if self.batch is None and self.queue:
                self.batch = self.queue.pop(0)
                offsets = begin(consumer, self.batch)
                assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
                assert offsets[0] == self.newest + 1 or self.newest < 0
                self.newest = offsets[-1]
                self.left = iter(offsets)
            case "work" if self.batch is not None and not self.batch.acked:
                if (offset := next(self.left, None)) is not None:
                    self.done.add(offset)
                    consumer.processed(self.batch, [offset])
            case "give back" if self.batch is not None:
                next(self.left, None)
            case "end" if self.batch is not None:
                if self.batch.acked or next(self.left, None) is None:
                    consumer.end(self.batch)
                    self.batch = None
            case "commit":
                await consumer.commit()
            case "move":  # a rebalance: what is queued is emptied, what is in progress is void
                await consumer.perform_seek()
                self.queue.clear()
                self.newest = -1
                resume(consumer)
            case "stop":  # while a batch is handed over
                async for _tp, batch in consumer.getmany(timeout=0.01):
                    batch.incref(1)
                    self.queue.append(batch)
                    consumer.stop_flow()
                await self.step("move")
            case "pause":  # while the client fetches
                client.on_fetch = lambda: consumer.pause_partitions({SOURCE})
                self.queue += await fetch(consumer)
                client.on_fetch = lambda: None
                consumer.resume_partitions({SOURCE})
            case "kill":  # without a commit
                client.positions[SOURCE] = 0
                await self.start()
        self.check()

    def check(self) -> None:
        """Nothing is committed that was not done."""
        until = self.client.commits.get(SOURCE, 0)
        assert set(range(until)) <= self.done

    async def finish(self) -> None:
        """Left in peace, it does all there is and commits it."""
        await self.step("move")
        if self.batch is not None:
            self.consumer.end(self.batch)
            self.batch = None
        for _ in range(3):
            self.queue += await fetch(self.consumer)
            while self.queue:
                await self.step("begin")
                for offset in self.left:
                    self.done.add(offset)
                    self.consumer.processed(self.batch, [offset])
                self.consumer.end(self.batch)
                self.batch = None
        await self.step("commit")
        end = self.client.highwater(SOURCE)
        assert self.done == set(range(end))
        assert self.client.commits.get(SOURCE, 0) == end


@settings(deadline=None)
@given(st.lists(STEPS, max_size=40))
async def test_whatever_happens_nothing_is_lost(steps: Sequence[str]) -> None:
    worker = Worker()
    await worker.start()
    for what in steps:
        await worker.step(what)
    await worker.finish()
