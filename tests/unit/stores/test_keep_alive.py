"""A WebSocket that stalls is found on both sides; one that is only quiet stays open."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from stores import keep_alive
from stores.keep_alive import KeepAlive
from tests.stalling_proxy import StallingProxy
from tests.waiting import wait_for


@dataclass
class Ends:
    """A server's end and a client's end of one socket, with a proxy between them."""

    proxy: StallingProxy
    client: aiohttp.ClientWebSocketResponse
    server: list[web.WebSocketResponse]
    got: list[str]
    stalled: list[bool] = field(default_factory=list)
    """What the server found when its socket ended."""


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    monkeypatch.setattr(keep_alive, "PING_S", 0.05)
    monkeypatch.setattr(keep_alive, "SILENT_S", 1.0)
    stalled: list[bool] = []
    got: list[str] = []
    sockets: list[web.WebSocketResponse] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        sockets.append(ws)
        async with KeepAlive(ws) as messages:
            async for message in messages:
                got.append(message.data)
            stalled.append(messages.stalled)
        return ws

    app = web.Application()
    app.router.add_get("/ws", serve)
    async with (
        TestServer(app) as server,
        StallingProxy(server.port or 0) as proxy,
        aiohttp.ClientSession() as session,
    ):
        client = await session.ws_connect(f"{proxy.url}/ws", autoping=False)
        yield Ends(proxy, client, sockets, got, stalled)


async def test_both_sides_find_a_socket_that_stalls(ends: Ends) -> None:
    async with KeepAlive(ends.client) as messages:
        await ends.client.send_str("one")
        await wait_for(lambda: ends.got == ["one"], within_s=10, what="the message")
        assert ends.proxy.stall(b"/ws") == 1
        async with asyncio.timeout(10):
            await messages.wait_closed()
        assert messages.stalled
    await wait_for(lambda: ends.stalled == [True], within_s=10, what="the server's end")


async def test_a_quiet_socket_stays_open_and_a_close_counts_as_a_close(ends: Ends) -> None:
    async with KeepAlive(ends.client) as messages:
        reading = asyncio.create_task(messages.wait_closed())
        heard_s = messages._heard_s
        # far longer than it may be silent: only pongs come
        await wait_for(lambda: messages._heard_s - heard_s > 1.5, within_s=20, what="pongs")
        assert not reading.done()
        await ends.server[0].close()
        await asyncio.wait_for(reading, 10)
        assert not messages.stalled
    await wait_for(lambda: ends.stalled == [False], within_s=10, what="the server's end")
