"""The page's live picture: one WebSocket for each viewer, by the session's cookie."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from domain.errors import ConfigError
from domain.live_stream import FEEDS, Feed, LiveKind, LiveMessage
from edge_bridge.http_errors import problem
from edge_bridge.live.manager import LiveViewer
from stores.keep_alive import KeepAlive
from stores.socket_options import keep_little_unsent

Watch = Callable[[str, Feed], AbstractAsyncContextManager[LiveViewer]]
"""Shows a feed of a camera; raises ConfigError where there is none."""

_MAX_VIEWERS = 16
"""Concurrency limit: recording needs the device."""
_SEND_S = 10.0
"""A viewer that takes longer for one message is disconnected."""
_SESSION_CHECK_S = 5.0
"""How long after signing out a picture is still shown, at most."""
_SIGNED_OUT = LiveMessage.text(LiveKind.END, {"reason": "Signed out."})


class LiveViewers:
    """The sockets of all viewers of the page."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._sockets: set[web.WebSocketResponse] = set()

    async def show(
        self, request: web.Request, camera: str, is_signed_in: Callable[[], bool]
    ) -> web.StreamResponse:
        """Send a camera's messages until the viewer closes, or is not signed in any more."""
        feed = request.query.get("feed", "main")
        if feed not in FEEDS:
            return problem(HTTPStatus.BAD_REQUEST, "feed must be main or sub.")
        if not _is_same_origin(request):
            return problem(HTTPStatus.FORBIDDEN, "Open the live picture on this device's own page.")
        if len(self._sockets) >= _MAX_VIEWERS:
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{_MAX_VIEWERS} live pictures are shown already. Close one, or try again later.",
            )
        socket = web.WebSocketResponse(autoping=False, max_msg_size=1 << 10, compress=False)
        if not socket.can_prepare(request).ok:
            return problem(HTTPStatus.BAD_REQUEST, "This address is a WebSocket.")
        try:
            async with self._watch(camera, feed) as viewer:
                await socket.prepare(request)
                if request.transport is not None:
                    keep_little_unsent(request.transport.get_extra_info("socket"))
                self._sockets.add(socket)
                try:
                    await self._serve(socket, viewer, is_signed_in)
                finally:
                    self._sockets.discard(socket)
        except ConfigError as error:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return socket

    async def close(self) -> None:
        """Disconnect all viewers."""
        await asyncio.gather(*(socket.close() for socket in self._sockets), return_exceptions=True)

    async def _serve(
        self,
        socket: web.WebSocketResponse,
        viewer: LiveViewer,
        is_signed_in: Callable[[], bool],
    ) -> None:
        tasks = [
            asyncio.create_task(_send_all(socket, viewer)),
            asyncio.create_task(_read_until_closed(socket)),
            asyncio.create_task(_wait_until_signed_out(is_signed_in)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(1):
                if not is_signed_in():
                    await socket.send_str(str(_SIGNED_OUT.data))
                await socket.close()


async def _send_all(socket: web.WebSocketResponse, viewer: LiveViewer) -> None:
    with contextlib.suppress(ConnectionError, TimeoutError):
        while True:
            message = await viewer.next()
            async with asyncio.timeout(_SEND_S):
                if isinstance(message.data, str):
                    await socket.send_str(message.data)
                else:
                    await socket.send_bytes(message.data)


async def _read_until_closed(socket: web.WebSocketResponse) -> None:
    """Read what a viewer sends: nothing but that it closes, or that it stalls."""
    async with KeepAlive(socket) as messages:
        async for message in messages:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                return


async def _wait_until_signed_out(is_signed_in: Callable[[], bool]) -> None:
    while True:
        await asyncio.sleep(_SESSION_CHECK_S)
        if not is_signed_in():
            return


def _is_same_origin(request: web.Request) -> bool:
    """Return whether a page of this device opens the socket: others can open one, too."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc.lower() == request.host.lower()
