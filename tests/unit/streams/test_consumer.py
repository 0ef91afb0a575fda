"""What the consumer does beyond the six faults."""

import asyncio
import gc
from typing import Any

import pytest

from streams import metrics
from streams.delivery.barrier import all_sent
from tests.unit.streams.fakes import (
    CHANGELOG,
    OTHER,
    SOURCE,
    Client,
    deliver,
    in_progress,
    make,
    resume,
)


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def ready(client: Client, **hooks: Any) -> Any:
    consumer = make(client, **hooks)
    await consumer.perform_seek()
    resume(consumer)
    return consumer


async def test_sources_are_delivered_only_after_they_were_positioned() -> None:
    client = Client({SOURCE: range(10)})
    client.commits[SOURCE] = 4
    consumer = make(client)
    assert await deliver(consumer) == []  # positions them instead
    assert [m.offset for m in await deliver(consumer)] == [4, 5, 6, 7, 8, 9]


async def test_changelogs_are_delivered_while_sources_wait() -> None:
    client = Client({CHANGELOG: range(3), SOURCE: range(3)})
    consumer = make(client)
    consumer._active_partitions = {CHANGELOG}
    assert [m.tp for m in await deliver(consumer)] == [CHANGELOG] * 3


async def test_a_rebalance_during_the_seek_leaves_it_due() -> None:
    client = Client({SOURCE: range(3)})
    consumer = make(client)

    def rebalance() -> None:
        consumer.app.consumer_generation_id = 2

    client.on_seek = rebalance
    await consumer.perform_seek()
    client.on_seek = lambda: None
    resume(consumer)
    assert await deliver(consumer) == []
    assert len(await deliver(consumer)) == 3


async def test_a_rebalance_during_the_fetch_delivers_nothing_of_the_old_generation() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)

    def rebalance() -> None:
        consumer.app.consumer_generation_id = 2

    client.on_fetch = rebalance
    assert await deliver(consumer) == []
    assert client.positions[SOURCE] == 0


async def test_a_position_moves_only_when_the_delivery_in_progress_has_ended() -> None:
    client = Client({SOURCE: range(10)})
    consumer = await ready(client)
    delivery = consumer.getmany(timeout=0.01)
    await anext(delivery)
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.wait_for(consumer.interrupted.wait(), 30)
    assert not seeking.done()
    with pytest.raises(StopAsyncIteration):
        await anext(delivery)
    await asyncio.wait_for(seeking, 30)
    assert client.positions[SOURCE] == 0


async def test_a_paused_partition_keeps_its_order() -> None:
    client = Client({SOURCE: range(3), OTHER: range(3)})
    consumer = await ready(client)
    seen = []
    async for tp, message in consumer.getmany(timeout=0.01):
        seen.append((tp, message.offset))
        consumer.pause_partitions({OTHER})
    assert [offset for tp, offset in seen if tp == SOURCE] == [0, 1, 2]
    delivered = [offset for tp, offset in seen if tp == OTHER]
    assert client.positions[OTHER] == len(delivered)


async def test_a_cancelled_delivery_is_positioned_again() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    delivery = consumer.getmany(timeout=0.01)
    await anext(delivery)
    await delivery.aclose()
    assert await deliver(consumer) == []
    assert [m.offset for m in await deliver(consumer)] == [0, 1, 2]


async def test_a_jump_is_gone_back_to_and_counted() -> None:
    client = Client({SOURCE: range(10)})
    consumer = await ready(client)
    before = value("vigil_offset_jumps_total", topic=SOURCE.topic)
    client.positions[SOURCE] = 6
    assert [m.offset for m in await deliver(consumer, fetches=2)] == list(range(10))
    assert value("vigil_offset_jumps_total", topic=SOURCE.topic) == before + 6


async def test_a_hole_that_stays_is_one_in_the_log() -> None:
    client = Client({SOURCE: [0, 1, 2, 7, 8]})
    consumer = await ready(client)
    before = value("vigil_offset_jumps_total", topic=SOURCE.topic)
    messages = await deliver(consumer, fetches=2)
    assert [m.offset for m in messages] == [0, 1, 2, 7, 8]
    for message in messages:
        message.ack(consumer)
    await consumer.commit()
    assert client.commits[SOURCE] == 9
    assert value("vigil_offset_jumps_total", topic=SOURCE.topic) == before


async def test_what_retention_took_is_counted_and_passed() -> None:
    client = Client({SOURCE: range(7, 9)})
    client.commits[SOURCE], client.starts[SOURCE] = 3, 7
    consumer = await ready(client)
    before = value("vigil_offsets_expired_total", topic=SOURCE.topic)
    for message in await deliver(consumer, fetches=2):
        message.ack(consumer)
    await consumer.commit()
    assert client.commits[SOURCE] == 9
    assert value("vigil_offsets_expired_total", topic=SOURCE.topic) == before + 4


async def test_a_topic_made_again_is_committed_from_its_beginning() -> None:
    client = Client({SOURCE: range(3)})
    client.commits[SOURCE] = 500
    consumer = await ready(client)
    client.positions[SOURCE] = 0  # what the client does when its position is out of range
    for message in await deliver(consumer):
        message.ack(consumer)
    await consumer.commit()
    assert client.commits[SOURCE] == 3


async def test_a_commit_that_was_refused_is_offered_again() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    for message in await deliver(consumer):
        message.ack(consumer)
    client.refuse_commits = True
    assert not await consumer.commit()
    client.refuse_commits = False
    assert await consumer.commit()
    assert client.commits[SOURCE] == 3
    assert not await consumer.commit()  # nothing new
    assert consumer.lags() == {SOURCE: 0}


async def test_work_that_outlives_its_positioning_counts_for_nothing() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    late = await deliver(consumer)
    await consumer.perform_seek()
    resume(consumer)
    for message in late:
        message.ack(consumer)
    await consumer.commit()
    assert client.commits == {}
    for message in await deliver(consumer):
        message.ack(consumer)
    await consumer.commit()
    assert client.commits[SOURCE] == 3


async def test_a_message_that_was_given_back_holds_commits_back_and_nothing_else() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    first, second, third = await deliver(consumer)
    first.ack(consumer)
    consumer.abandon(second)
    second.ack(consumer)  # Faust's loop does so when the body ends
    third.ack(consumer)
    gc.collect()
    await asyncio.wait_for(consumer.wait_empty(), 30)
    assert client.commits[SOURCE] == 1


async def test_a_skipped_message_is_not_acknowledged() -> None:
    client = Client({SOURCE: range(1)})
    consumer = await ready(client)
    async for _, message in consumer.getmany(timeout=0.01):
        message.incref(1)
        consumer.app.consumer_generation_id = 2  # the stream sees another generation and skips it
        message.ack(consumer)
    await consumer.commit()
    assert client.commits == {}


async def test_the_compiled_iterator_writes_into_the_ledger() -> None:
    """What faust/_cython/streams.pyx does in place of Consumer.ack."""
    client = Client({SOURCE: range(2)})
    consumer = await ready(client)
    for message in await deliver(consumer):
        assert consumer._committed_offset[SOURCE] <= message.offset
        consumer._acked_index[SOURCE].add(message.offset)
        consumer._acked[SOURCE].append(message.offset)
    await consumer.commit()
    assert client.commits[SOURCE] == 2


async def test_acknowledgements_of_partitions_that_are_gone_count_for_nothing() -> None:
    client = Client({SOURCE: range(2)})
    consumer = await ready(client)
    messages = await deliver(consumer)
    await consumer.on_partitions_revoked({SOURCE})
    for message in messages:
        in_progress(consumer, message).ack(consumer)
    await consumer.commit()
    assert client.commits == {}


async def test_retries_are_interrupted_while_the_flow_is_stopped() -> None:
    consumer = await ready(Client({SOURCE: []}))
    assert not consumer.interrupted.is_set()
    consumer.stop_flow()
    assert consumer.interrupted.is_set()
    consumer.resume_flow()
    assert not consumer.interrupted.is_set()


async def test_a_full_queue_of_a_paused_partition_does_not_resume_it() -> None:
    consumer = await ready(Client({SOURCE: []}))
    consumer.on_buffer_full(SOURCE)
    consumer.pause_partitions({SOURCE})
    consumer.on_buffer_drop(SOURCE)
    assert SOURCE not in consumer._active_partitions
    consumer.resume_partitions({SOURCE})
    consumer.on_buffer_full(SOURCE)
    consumer.on_buffer_drop(SOURCE)
    assert SOURCE in consumer._active_partitions


async def test_nothing_is_committed_while_table_updates_are_stuck() -> None:
    class Stuck:
        state = "running"
        pending: "asyncio.Queue[Any]" = asyncio.Queue()

    assert not await all_sent(Stuck(), timeout_s=0.01)


async def test_nothing_is_committed_after_a_table_update_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[str] = []
    monkeypatch.setattr("streams.delivery.consumer.exit_process", ended.append)
    client = Client({SOURCE: range(2)})
    consumer = await ready(client)
    app = consumer.app
    for message in await deliver(consumer):
        message.ack(consumer)

    class GivesUp:
        async def flush(self) -> None:  # and Faust informs its sensors
            state = app.sensors.on_send_initiated(app.producer, "changelog", None, 1, 1)
            app.sensors.on_send_error(app.producer, TimeoutError("no broker"), state)

    app.producer._producer = GivesUp()
    assert not await consumer.commit()
    assert client.commits == {} and "no broker" in ended[0]


async def test_nothing_queued_is_begun_while_positions_move() -> None:
    client = Client({SOURCE: range(3)})
    consumer = await ready(client)
    queue = consumer.app.FlowControlQueue(maxsize=10, clear_on_resume=True)
    queue.put_nowait("a record")
    await consumer.perform_seek()
    assert not consumer.app.flow_control.is_active()
    assert queue.empty()


@pytest.mark.parametrize(("stock", "committed"), [(True, 2), (False, 3)])
async def test_what_is_processed_during_a_commit_is_committed_by_the_next(
    stock: bool, committed: int
) -> None:
    client = Client({SOURCE: range(3)})
    client.commits[SOURCE] = 1
    consumer = make(client, stock=stock)
    await consumer.perform_seek()
    resume(consumer)
    one, two = await deliver(consumer)
    under_way, go_on = asyncio.Event(), asyncio.Event()
    commit = client.commit

    async def slow(offsets: Any) -> bool:
        under_way.set()
        await go_on.wait()
        return await commit(offsets)

    client.commit = slow  # type: ignore[method-assign]
    one.ack(consumer)
    periodic = asyncio.create_task(consumer.commit())
    await asyncio.wait_for(under_way.wait(), 30)
    two.ack(consumer)
    last = asyncio.create_task(consumer.commit())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(asyncio.gather(periodic, last), 30)
    assert client.commits[SOURCE] == committed


async def test_commits_do_not_wait_for_updates_that_came_after_them() -> None:
    """Faust's flush of its buffer ends when that is empty: under a backlog, never."""
    client = Client({SOURCE: range(1)})
    consumer = await ready(client)
    buffer = consumer.app.producer.buffer

    class Another:
        """An update whose sending makes the next one."""

        def __init__(self) -> None:
            self.message = self.channel = self

        async def publish_message(self, _fut: Any, wait: bool = False) -> None:
            await asyncio.sleep(0)
            buffer.pending.put_nowait(Another())

    (message,) = await deliver(consumer)
    message.ack(consumer)
    await buffer.start()
    try:
        buffer.pending.put_nowait(Another())
        assert await asyncio.wait_for(consumer.commit(), 20)
    finally:
        buffer._stopped.set()
        for task in list(buffer._futures):
            task.cancel()
    assert client.commits[SOURCE] == 1
