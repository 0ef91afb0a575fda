"""A worker writes only while no other worker can own its partitions; cases as timelines.

session 10 s, rebalance 60 s; the fence's clock is the test's.
"""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import HeartbeatRequest, OffsetCommitRequest
from aiokafka.errors import (
    NodeNotReadyError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from streams.delivery import fence_hooks
from streams.delivery.fence import Fence, now_s
from streams.delivery.fence_hooks import guard_client, watch_coordinator


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Worker:
    clock: Clock = field(default_factory=Clock)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fence = Fence(10, 60, clock=self.clock, end=self.ended.append)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_a_process_without_partitions_writes(worker: Worker) -> None:
    assert worker.fence.may_write()


def test_partitions_alone_do_not_allow_writing_the_group_has_to_confirm(worker: Worker) -> None:
    worker.fence.own()
    assert not worker.fence.may_write()
    worker.fence.confirmed(99)
    assert worker.fence.may_write()


def test_the_lease_counts_from_the_question_not_from_the_answer(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.confirmed(asked_s=95)  # the answer came at 100, on a slow network
    worker.clock.now = 104.9
    assert worker.fence.may_write()
    worker.clock.now = 105.0
    assert not worker.fence.may_write()


def test_a_stalled_worker_may_write_again_when_the_group_still_knows_it(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.confirmed(100)
    worker.clock.now = 130
    assert not worker.fence.may_write()
    worker.fence.confirmed(130)
    assert worker.fence.may_write()
    assert worker.ended == []


def test_a_worker_that_the_group_refuses_ends_before_it_writes(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.confirmed(100)
    worker.fence.refused()
    assert len(worker.ended) == 1 and "stalled" in worker.ended[0]


def test_a_worker_without_partitions_may_be_refused(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.release()
    worker.fence.refused()
    assert worker.ended == []


def test_a_rebalance_keeps_a_member_for_its_time_and_no_longer(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.confirmed(100)
    for asked_s in range(102, 160, 2):  # it takes long to give its partitions back
        worker.fence.rebalancing(asked_s)
    worker.clock.now = 159
    assert worker.fence.may_write()
    worker.clock.now = 160
    assert not worker.fence.may_write()


def test_an_answer_that_comes_late_does_not_shorten_the_lease(worker: Worker) -> None:
    worker.fence.own()
    worker.fence.confirmed(100)
    worker.fence.confirmed(95)
    worker.clock.now = 109
    assert worker.fence.may_write()


def test_the_clock_is_one_that_a_stopped_process_cannot_stop() -> None:
    before = now_s()
    assert now_s() >= before


# -- the wiring


class Coordinator:
    def __init__(self) -> None:
        self.error: Any = None
        self.resets = 0
        self._closing = asyncio.get_running_loop().create_future()

    async def _send_req(self, request: Any) -> Any:
        return SimpleNamespace(error_code=self.error.errno if self.error else 0)

    def reset_generation(self) -> None:
        self.resets += 1


async def test_heartbeats_renew_and_other_answers_do_not(worker: Worker) -> None:
    coordinator: Any = Coordinator()
    watch_coordinator(coordinator, worker.fence)
    worker.fence.own()
    await coordinator._send_req(OffsetCommitRequest("g", 1, "m", -1, []))
    assert not worker.fence.may_write()
    coordinator.error = UnknownMemberIdError
    await coordinator._send_req(HeartbeatRequest("g", 1, "m"))
    assert not worker.fence.may_write()
    coordinator.error = None
    await coordinator._send_req(HeartbeatRequest("g", 1, "m"))
    assert worker.fence.may_write()
    worker.clock.now += 9
    coordinator.error = RebalanceInProgressError
    await coordinator._send_req(HeartbeatRequest("g", 1, "m"))
    worker.clock.now += 9
    assert worker.fence.may_write()


async def test_a_refusal_ends_the_process_but_a_regular_end_does_not(worker: Worker) -> None:
    coordinator: Any = Coordinator()
    watch_coordinator(coordinator, worker.fence)
    worker.fence.own()
    coordinator.reset_generation()
    assert (len(worker.ended), coordinator.resets) == (1, 1)
    coordinator._closing.set_result(None)
    coordinator.reset_generation()
    assert (len(worker.ended), coordinator.resets) == (1, 2)


class Client:
    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.is_ready = True

    async def ready(self, node_id: Any, **_: Any) -> bool:
        return self.is_ready

    async def send(self, node_id: Any, request: Any, **_: Any) -> None:
        self.sent.append(request)


def produce() -> ProduceRequest:
    return ProduceRequest(transactional_id=None, required_acks=-1, timeout=1, topics=[])


async def test_a_write_is_held_until_the_group_confirms(worker: Worker) -> None:
    client: Any = Client()
    guard_client(client, worker.fence)
    worker.fence.own()
    writing = asyncio.create_task(client.send(1, produce()))
    await asyncio.sleep(2 * fence_hooks.ASK_AGAIN_S)
    assert client.sent == [] and not writing.done()
    worker.fence.confirmed(worker.clock.now)
    await writing
    assert len(client.sent) == 1


async def test_a_write_that_is_held_for_long_goes_back_to_the_client(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence_hooks, "HOLD_S", 0.1)
    client: Any = Client()
    guard_client(client, worker.fence)
    worker.fence.own()
    with pytest.raises(NodeNotReadyError):
        await client.send(1, produce())
    assert client.sent == []


async def test_the_fence_is_asked_after_connecting(worker: Worker) -> None:
    """Connecting may take longer than the lease lasts."""
    client: Any = Client()
    worker.fence.own()
    worker.fence.confirmed(worker.clock.now)

    async def slowly(node_id: Any, **_: Any) -> bool:
        worker.clock.now += 11
        client.ready = fast
        return True

    async def fast(node_id: Any, **_: Any) -> bool:
        return True

    client.ready = slowly
    guard_client(client, worker.fence)
    writing = asyncio.create_task(client.send(1, produce()))
    await asyncio.sleep(2 * fence_hooks.ASK_AGAIN_S)
    assert client.sent == []
    writing.cancel()


async def test_reading_is_never_held(worker: Worker) -> None:
    client: Any = Client()
    guard_client(client, worker.fence)
    worker.fence.own()
    await client.send(1, MetadataRequest([]))
    assert len(client.sent) == 1
