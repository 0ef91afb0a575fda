"""One WebSocket that gets a live picture: a viewer at the web, or a web worker at the relay."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from domain.live_stream import MAX_REASON_BYTES, LiveEnd, LiveKind, LiveMessage, ViewerQueue
from stores.keep_alive import KeepAlive
from stores.socket_options import keep_little_unsent
from web.live.metrics import DROPPED, STALLED

SEND_S = 20.0
"""A message that takes longer is not taken: the viewer is cut off."""
CLOSE_S = 2.0

Pace = Callable[[int], Awaitable[None]]
"""Waits until bytes may be sent, given how many were."""


async def no_pace(_size: int) -> None:
    """Wait for nothing."""


class SocketViewer:
    """A queue, and the loop that sends it."""

    def __init__(self, ws: web.WebSocketResponse, pace: Pace = no_pace) -> None:
        """`ws` is prepared, and does not answer pings itself (`autoping=False`).

        `pace` is called after each message, with its size.
        """
        self._ws = ws
        self._pace = pace
        self._ready = asyncio.Event()
        self.queue = ViewerQueue(self._ready.set)
        keep_little_unsent(ws.get_extra_info("socket"))

    def end(self, end: LiveEnd) -> None:
        """Send the viewer the reason, after the message that is being sent; then close."""
        self.queue.push(LiveMessage.end(end))

    async def serve(self) -> None:
        """Send until the viewer leaves, is cut off, or the picture ends."""
        reader = asyncio.create_task(self._read_until_closed())
        sender = asyncio.create_task(self._send())
        try:
            await asyncio.wait((reader, sender), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reader, sender):
                task.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)
            DROPPED.inc(self.queue.dropped_gops)
            if not self._ws.closed:
                with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
                    async with asyncio.timeout(CLOSE_S):
                        await self._ws.close()

    async def _send(self) -> None:
        while True:
            message = self.queue.take()
            if message is None:
                self._ready.clear()
                await self._ready.wait()
                continue
            try:
                async with asyncio.timeout(SEND_S):
                    if message.kind is LiveKind.END:
                        await end_socket(self._ws, message.end_reason)
                        return
                    if isinstance(message.data, str):
                        await self._ws.send_str(message.data)
                    else:
                        await self._ws.send_bytes(message.data)
            except (TimeoutError, ConnectionError, RuntimeError):
                self._abort()
                return
            await self._pace(message.size)

    async def _read_until_closed(self) -> None:
        """Read what viewers send: nothing, but that they live."""
        async with KeepAlive(self._ws) as messages:
            await messages.wait_closed()
            if messages.stalled:
                STALLED.inc()
                self._abort()

    def _abort(self) -> None:
        transport = self._ws.get_extra_info("socket") and self._ws._req and self._ws._req.transport
        if isinstance(transport, asyncio.Transport):
            transport.abort()


async def end_socket(ws: web.WebSocketResponse, end: LiveEnd) -> None:
    """Send the last message, and close with its code and reason."""
    await ws.send_str(str(LiveMessage.end(end).data))
    reason = end.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    await ws.close(code=end.code, message=reason.encode())
