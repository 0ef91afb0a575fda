"""Finds out that the other side of a WebSocket has stalled: it is open, and nothing comes.

    ping ─► each second     a pong, or any message ─► it lives
                            4.5 s without either   ─► closed: the reading ends

TCP alone notices that after many minutes, or never where the other process is only stopped.
Open the socket with `autoping=False`: the pongs are read here.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from aiohttp import ClientWebSocketResponse, WSMessage, WSMsgType
from aiohttp.web import WebSocketResponse

PING_S = 1.0
SILENT_S = 4.5
"""A pong on a slow line comes after what is sent before it."""
CLOSE_S = 1.0


class KeepAlive:
    """Reads a WebSocket's messages until it closes or stalls; use it as a context."""

    def __init__(self, ws: ClientWebSocketResponse | WebSocketResponse) -> None:
        self._ws = ws
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._watch: asyncio.Task[None] | None = None
        self.stalled = False
        """Whether it was closed because nothing came."""

    async def __aenter__(self) -> Self:
        self._heard_s = self._loop.time()
        self._watch = asyncio.create_task(self._ping())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._watch is not None
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WSMessage:
        """Return the next message of text or bytes."""
        while True:
            message = await self._ws.__anext__()
            self._heard_s = self._loop.time()
            if message.type is WSMsgType.PING:
                with contextlib.suppress(ConnectionError):
                    await self._ws.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                return message

    async def wait_closed(self) -> None:
        """Read until it closes or stalls; what comes is not of interest."""
        async for _ in self:
            pass

    async def _ping(self) -> None:
        while self._loop.time() - self._heard_s < SILENT_S:
            await asyncio.sleep(PING_S)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(PING_S):
                    await self._ws.ping()
        self.stalled = True
        with contextlib.suppress(ConnectionError, TimeoutError, RuntimeError):
            async with asyncio.timeout(CLOSE_S):
                await self._ws.close()
