"""The faults of Faust 0.15.3 that lose events, each forced; Faust as it is, then ours.

Where a test of the stock consumer fails, Faust has changed: check whether ours is still needed.
"""

import asyncio
from typing import Any

import faust
import pytest
from faust.transport.producer import ProducerBuffer
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from streams.delivery.app import DeliveryApp, FlowControl
from streams.delivery.barrier import Barrier
from tests.unit.streams.fakes import (
    CHANGELOG,
    SOURCE,
    Client,
    deliver,
    drain,
    in_progress,
    make,
    resume,
)
from tests.waiting import wait_for

# 1. Partitions are paused while a fetch waits: the set given to the client is emptied under it,
#    the client takes the empty set for all partitions, and what it drained is dropped.


@pytest.mark.parametrize("stock", [True, False])
async def test_partitions_paused_during_a_fetch_are_not_skipped(stock: bool) -> None:
    client = Client({CHANGELOG: [], SOURCE: range(10)})
    consumer = make(client, stock=stock)
    consumer._active_partitions = {CHANGELOG}
    client.on_fetch = lambda: consumer.pause_partitions({CHANGELOG})
    assert await deliver(consumer) == []
    undelivered = client.positions[SOURCE]
    assert undelivered == (10 if stock else 0)


async def test_records_that_a_stopped_flow_held_back_are_fetched_again() -> None:
    client = Client({SOURCE: range(10)})
    consumer = make(client)
    await deliver(consumer)  # positions it
    seen = []
    async for _, message in consumer.getmany(timeout=0.01):
        seen.append(message.offset)
        if message.offset == 3:
            consumer.stop_flow()
    assert seen == [0, 1, 2, 3]
    assert client.positions[SOURCE] == 3  # its delivery may have been interrupted
    consumer.resume_flow()
    assert [m.offset for m in await deliver(consumer)] == list(range(3, 10))


# 2. Recovery resumes the flow a second time after sources were delivered: resuming empties
#    the queues.


@pytest.mark.parametrize(("kind", "kept"), [(FlowControlEvent, 0), (FlowControl, 1)])
async def test_resuming_a_running_flow_keeps_what_was_delivered(kind: Any, kept: int) -> None:
    flow = kind()
    queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    flow.resume()
    await queue.put(1)
    flow.resume()
    assert queue.qsize() == kept


async def test_our_app_and_its_consumer_are_the_ones_faust_uses() -> None:
    app = DeliveryApp("app", broker="kafka://", store="memory://")
    assert isinstance(app.flow_control, FlowControl)
    stock: Any = faust.App("app", broker="kafka://")
    consumers: list[Any] = [app.consumer, stock.consumer]
    ours = [type(consumer).__module__ == "streams.delivery.consumer" for consumer in consumers]
    for consumer in consumers:
        consumer._thread.thread_loop.close()
    assert ours == [True, False]


# 3. After the seek to what is committed, records that were lost in between look like a hole
#    in the log, which counts as processed.


@pytest.mark.parametrize("stock", [True, False])
async def test_records_that_were_lost_are_not_committed(stock: bool) -> None:
    handled: list[int] = []

    async def handle(message: Any) -> None:
        in_progress(consumer, message).ack(consumer)
        handled.append(message.offset)

    client = Client({SOURCE: range(20)})
    client.commits[SOURCE] = 5
    consumer = make(client, stock=stock, callback=handle)
    await consumer.perform_seek()
    resume(consumer)
    client.positions[SOURCE] = 12  # whatever took 5 to 11 away from us
    await drain(consumer, fetches=3)
    await consumer.commit()
    lost = set(range(5, client.commits[SOURCE])) - set(handled)
    assert lost == (set(range(6, 12)) | {5} if stock else set())
    if not stock:
        assert client.commits[SOURCE] == 20


# 4. A commit passes a hole of one record that is not acknowledged.


@pytest.mark.parametrize(("stock", "committed"), [(True, 4), (False, 1)])
async def test_one_unacknowledged_record_holds_commits_back(stock: bool, committed: int) -> None:
    client = Client({SOURCE: range(4)})
    client.commits[SOURCE] = 1
    consumer = make(client, stock=stock)
    await consumer.perform_seek()
    resume(consumer)
    messages = await deliver(consumer)
    assert [m.offset for m in messages] == [1, 2, 3]
    for message in messages[1:]:
        message.ack(consumer)
    await consumer.commit()
    assert client.commits[SOURCE] == committed


# 5. Acknowledgements are forgotten before the work in progress has ended and was committed.


@pytest.mark.parametrize(("stock", "committed"), [(True, 1), (False, 4)])
async def test_what_was_done_is_committed_when_partitions_go(stock: bool, committed: int) -> None:
    async def as_the_app_does(_revoked: Any) -> None:
        messages[-1].ack(consumer)  # the work in progress ends
        await consumer.commit()

    client = Client({SOURCE: range(4)})
    client.commits[SOURCE] = 1
    consumer = make(client, stock=stock, on_partitions_revoked=as_the_app_does)
    await consumer.perform_seek()
    resume(consumer)
    messages = await deliver(consumer)
    for message in messages[:-1]:
        message.ack(consumer)
    await consumer.on_partitions_revoked({SOURCE})
    if stock:
        assert client.commits[SOURCE] in (committed, 4)
        assert consumer._acked_index.get(SOURCE, set()) != {1, 2, 3}
    else:
        assert client.commits[SOURCE] == committed


# 6. The producer's flush gives up after 0.1 s, so offsets are committed before the table's
#    changelog was sent.


@pytest.mark.parametrize("stock", [True, False])
async def test_offsets_are_committed_after_the_table_updates(stock: bool) -> None:
    order: list[str] = []
    broker_takes = asyncio.Event()

    class Slow:
        def __init__(self) -> None:
            self.message = self.channel = self

        async def publish_message(self, _fut: Any, wait: bool = False) -> None:
            await broker_takes.wait()
            order.append("changelog")

    client = Client({SOURCE: range(2)})
    consumer = make(client, stock=stock)
    await consumer.perform_seek()
    resume(consumer)
    buffer = consumer.app.producer.buffer
    assert isinstance(buffer, ProducerBuffer)
    await buffer.start()
    try:
        for message in await deliver(consumer):
            message.ack(consumer)
        buffer.pending.put_nowait(Slow())
        buffer.pending.put_nowait(Slow())

        async def commit() -> None:
            await consumer.commit()
            order.append("commit")

        committing = asyncio.create_task(commit())
        if stock:
            await asyncio.wait_for(committing, 30)
        else:
            await wait_for(lambda: barriers(buffer), within_s=10, what="a barrier", every_s=0)
            assert not committing.done()
        broker_takes.set()
        await asyncio.wait_for(committing, 30)
        await wait_for(lambda: order.count("changelog") == 2, within_s=10, what="sent", every_s=0)
    finally:
        await buffer.stop()
    assert order == (
        ["commit", "changelog", "changelog"] if stock else ["changelog"] * 2 + ["commit"]
    )


def barriers(buffer: Any) -> bool:
    return any(isinstance(waiting, Barrier) for waiting in buffer.pending._queue)
