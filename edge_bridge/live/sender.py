"""Sends one feed to the cloud while it is wanted there, by a WebSocket of its own.

channel ──► ViewerQueue ──► bandwidth ──► WebSocket     the connection breaks: again, from the
              full: GOPs are dropped                    last keyframe on
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

import aiohttp

from domain.backoff import CENTRED_JITTER, Backoff
from domain.live_stream import NOT_WATCHED, REPLACED, LiveChannel, LiveMessage, ViewerQueue
from edge_bridge import metrics
from edge_bridge.upload.bandwidth import BandwidthLimiter
from stores.keep_alive import KeepAlive
from stores.socket_options import keep_little_unsent

log = logging.getLogger(__name__)

RECONNECT = Backoff(first_s=0.25, longest_s=5.0, jitter=CENTRED_JITTER)
STALLED_S = 10.0
"""A message that takes longer to send breaks the connection."""
_STEADY_S = 10.0

Connect = Callable[[], Awaitable[aiohttp.ClientWebSocketResponse]]


class LiveSender:
    """Sends a channel's messages until cancelled, or until the cloud does not want them."""

    def __init__(
        self, camera: str, channel: LiveChannel, connect: Connect, bandwidth: BandwidthLimiter
    ) -> None:
        """`connect` opens the socket; it raises aiohttp.ClientError, OSError or TimeoutError."""
        self._camera = camera
        self._channel = channel
        self._connect = connect
        self._bandwidth = bandwidth
        self._dropped = 0

    async def run(self) -> None:
        """Send; connect again after each failure."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                if await self._send_connection():
                    return
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                log.info(
                    "the live picture's connection failed: %s",
                    str(error)[:200] or type(error).__name__,
                    extra={"camera": self._camera},
                )
            failures = 0 if loop.time() - began_s >= _STEADY_S else failures + 1
            await asyncio.sleep(RECONNECT.delay_s(max(failures - 1, 0), random.random()))  # noqa: S311

    async def _send_connection(self) -> bool:
        """Send by one connection until it breaks; return whether it is not wanted any more."""
        socket = await self._connect()
        keep_little_unsent(socket.get_extra_info("socket"))
        ready = asyncio.Event()
        queue = ViewerQueue(ready.set)
        self._dropped = 0
        reader = asyncio.create_task(_read_until_closed(socket))
        sender = asyncio.create_task(self._send_queue(socket, queue, ready))
        try:
            self._channel.join(queue)
            await asyncio.wait((reader, sender), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._channel.leave(queue)
            for task in (reader, sender):
                task.cancel()
            results = await asyncio.gather(reader, sender, return_exceptions=True)
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await socket.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return socket.close_code in (NOT_WATCHED, REPLACED)

    async def _send_queue(
        self, socket: aiohttp.ClientWebSocketResponse, queue: ViewerQueue, ready: asyncio.Event
    ) -> None:
        while True:
            await self._bandwidth.live_ready()
            self._note_dropped(queue)
            message = queue.take()
            if message is None:
                ready.clear()
                await ready.wait()
                continue
            self._bandwidth.spend_live(message.size)
            async with asyncio.timeout(STALLED_S):
                await send(socket, message)
            metrics.LIVE_BYTES.inc(message.size)

    def _note_dropped(self, queue: ViewerQueue) -> None:
        dropped = queue.dropped_gops - self._dropped
        if not dropped:
            return
        if not self._dropped:
            log.warning(
                "the line is too thin for the live picture: parts of it are dropped, and "
                "fragments are uploaded more slowly while somebody watches",
                extra={"camera": self._camera},
            )
        self._dropped = queue.dropped_gops
        metrics.LIVE_DROPPED.labels(self._camera).inc(dropped)
        self._bandwidth.yield_to_live()


async def send(socket: aiohttp.ClientWebSocketResponse, message: LiveMessage) -> None:
    """Send one message."""
    if isinstance(message.data, str):
        await socket.send_str(message.data)
    else:
        await socket.send_bytes(message.data)


async def _read_until_closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read what the cloud sends: nothing but why it closes. Raises TimeoutError if it stalls."""
    async with KeepAlive(socket) as messages:
        await messages.wait_closed()
        if messages.stalled:
            raise TimeoutError("the cloud does not answer any more")
