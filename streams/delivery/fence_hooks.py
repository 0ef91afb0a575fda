"""The fence's wiring: heartbeats tell it, and each request to write asks it.

Private parts of aiokafka 0.14.0 and Faust 0.15.3 this stands on, and why:
  AIOKafkaConsumer._coordinator        the member of the group
  GroupCoordinator._send_req           heartbeats and joins pass through it, with their answers
  GroupCoordinator.reset_generation    called wherever the group has refused the member
  GroupCoordinator._closing            the same call at a regular end means nothing
  AIOKafkaProducer.client.send         the last step before bytes are written to the socket
  Consumer._new_consumer_thread, AIOKafkaConsumerThread.on_start, ._create_worker_consumer,
  Producer._new_producer               where Faust makes them
"""

import asyncio
from typing import Any

from aiokafka.consumer.group_coordinator import HeartbeatRequest, SyncGroupRequest
from aiokafka.errors import NodeNotReadyError, NoError, RebalanceInProgressError, for_code
from aiokafka.protocol.produce import ProduceRequest
from faust.transport.drivers import aiokafka as driver

from streams.delivery.fence import WAITING_WRITES, Fence
from streams.delivery.table_manager import shorten_fetch_wait

ASK_AGAIN_S = 0.05
HOLD_S = 5.0
"""How long one request waits before the client takes its batches back and tries again."""


def watch_coordinator(coordinator: Any, fence: Fence) -> None:
    """Let a group's coordinator tell the fence what the group answers."""
    send, reset = coordinator._send_req, coordinator.reset_generation

    async def send_req(request: Any) -> Any:
        asked_s = fence.now_s()
        response = await send(request)
        if isinstance(request, HeartbeatRequest | SyncGroupRequest):
            answer = for_code(response.error_code)
            if answer is NoError:
                fence.confirmed(asked_s)
            elif answer is RebalanceInProgressError and isinstance(request, HeartbeatRequest):
                fence.rebalancing(asked_s)
        return response

    def reset_generation() -> None:
        if not coordinator._closing.done():
            fence.refused()
        reset()

    coordinator._send_req = send_req
    coordinator.reset_generation = reset_generation


def guard_client(client: Any, fence: Fence) -> None:
    """Let a producer's client write only while the fence allows it."""
    send = client.send

    async def fenced(node_id: Any, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            await _allowed(client, node_id, fence, **options)
        return await send(node_id, request, **options)  # connected: writes without waiting

    client.send = fenced


async def _allowed(client: Any, node_id: Any, fence: Fence, **options: Any) -> None:
    """Return connected and allowed; NodeNotReadyError (try again) where that takes too long."""
    held = False
    deadline_s = asyncio.get_running_loop().time() + HOLD_S
    while True:
        if not await client.ready(node_id, **options):
            raise NodeNotReadyError(f"no connection to node {node_id}")
        if fence.may_write():
            return
        if not held:
            held = True
            WAITING_WRITES.inc()
        if asyncio.get_running_loop().time() > deadline_s:
            raise NodeNotReadyError("the group has not confirmed this worker: nothing is written")
        await asyncio.sleep(ASK_AGAIN_S)


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread of the client, whose group membership is watched."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        shorten_fetch_wait(consumer)
        return consumer

    async def on_start(self) -> None:
        """Start the client; it joins the group only later, when it is given topics."""
        await super().on_start()
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is not None and not self.app_of().client_only:
            watch_coordinator(coordinator, self.app_of().fence)

    def app_of(self) -> Any:
        """Return the app this client belongs to."""
        return self.consumer.app


class Producer(driver.Producer):
    """Faust's producer, which writes only while the fence allows it."""

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        guard_client(producer.client, self.app.fence)
        return producer
