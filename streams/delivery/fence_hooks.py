"""The fence's wiring: heartbeats inform it, and each request to write asks it."""

import asyncio
from typing import Any

from aiokafka.errors import NodeNotReadyError, NoError, RebalanceInProgressError, for_code

from streams.delivery.faust_private import (
    ConsumerThreadBase,
    HeartbeatRequest,
    ProducerBase,
    ProduceRequest,
    Send,
    SyncGroupRequest,
    on_generation_reset,
    set_fetch_wait_ms,
    wrap_client_send,
    wrap_group_requests,
)
from streams.delivery.fence import WAITING_WRITES, Fence

ASK_AGAIN_S = 0.05
HOLD_S = 5.0
"""How long one request waits before the client takes its batches back and tries again."""
FETCH_WAIT_MS = 100
"""How long the broker holds a fetch back for which nothing has come yet.

Other questions to the same broker wait behind it on the same connection: where logs end and begin,
two of which a recovery asks. Faust's own value is 1,500.
"""


def watch_coordinator(coordinator: Any, fence: Fence) -> None:
    """Let a group's coordinator inform the fence of the group's answers."""

    def wrap(send: Send) -> Send:
        async def send_and_note(request: Any) -> Any:
            asked_s = fence.now_s()
            response = await send(request)
            if isinstance(request, HeartbeatRequest | SyncGroupRequest):
                answer = for_code(response.error_code)
                if answer == NoError:
                    fence.confirmed(asked_s)
                elif answer is RebalanceInProgressError and isinstance(request, HeartbeatRequest):
                    fence.rebalancing(asked_s)
            return response

        return send_and_note

    wrap_group_requests(coordinator, wrap)
    on_generation_reset(coordinator, fence.refused)


def guard_client(client: Any, fence: Fence) -> None:
    """Let a producer's client write only while the fence allows it."""

    def wrap(send: Send) -> Send:
        async def send_if_allowed(node_id: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                await _allowed(client, node_id, fence, **options)
            return await send(node_id, request, **options)  # connected: writes without waiting

        return send_if_allowed

    wrap_client_send(client, wrap)


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


class ConsumerThread(ConsumerThreadBase):
    """Faust's thread of the client, whose group membership is watched."""

    def client_made(self, client: Any) -> None:
        """Let no question to the broker wait long behind a fetch."""
        set_fetch_wait_ms(client, FETCH_WAIT_MS)

    def client_started(self, client: Any, coordinator: Any) -> None:
        """Watch the group; the client joins it only later, when it is given topics."""
        app = self.consumer.app
        if not app.client_only:
            watch_coordinator(coordinator, app.fence)


class Producer(ProducerBase):
    """Faust's producer, which writes only while the fence allows it."""

    def client_made(self, client: Any) -> None:
        """Let each request to write ask the fence."""
        guard_client(client, self.app.fence)
