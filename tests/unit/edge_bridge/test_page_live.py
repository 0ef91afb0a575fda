"""The live socket of the edge's page: who may watch, how many, and until when."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from domain.errors import ConfigError
from domain.live_stream import Feed, LiveMessage
from edge_bridge.live.manager import LiveViewer
from edge_bridge.page import live
from edge_bridge.page.live import LiveViewers
from tests.waiting import wait_for

INIT = LiveMessage.init(b"init")


class Watched:
    """Feeds that are watched now, and whether the viewers are signed in."""

    def __init__(self) -> None:
        self.feeds: list[tuple[str, Feed]] = []
        self.signed_in = True
        self.problem = ""

    @asynccontextmanager
    async def watch(self, camera: str, feed: Feed) -> AsyncIterator[LiveViewer]:
        if self.problem:
            raise ConfigError(self.problem)
        viewer = LiveViewer()
        viewer.queue.push(INIT)
        self.feeds.append((camera, feed))
        try:
            yield viewer
        finally:
            self.feeds.remove((camera, feed))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(live, "_SESSION_CHECK_S", 0.01)
    monkeypatch.setattr(live, "_MAX_VIEWERS", 2)
    yield Watched()


@pytest.fixture
async def client(watched: Watched) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    viewers = LiveViewers(watched.watch)

    async def show(request: web.Request) -> web.StreamResponse:
        return await viewers.show(request, "a/b/c", lambda: watched.signed_in)

    app = web.Application()
    app.router.add_get("/live", show)
    async with TestClient(TestServer(app)) as client:
        yield client


Client = TestClient[web.Request, web.Application]


async def test_a_viewer_gets_the_messages_and_leaves(watched: Watched, client: Client) -> None:
    async with client.ws_connect("/live?feed=sub") as socket:
        assert (await socket.receive()).data == INIT.data
        assert watched.feeds == [("a/b/c", "sub")]
    await closed(watched)


async def test_signing_out_ends_the_picture(watched: Watched, client: Client) -> None:
    async with client.ws_connect("/live") as socket:
        await socket.receive()
        watched.signed_in = False
        assert (await socket.receive_json())["reason"] == "Signed out."
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
    await closed(watched)


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/live?feed=none", None, 400),
        ("/live", "https://elsewhere.example", 403),
        ("/live", "null", 403),
    ],
)
async def test_what_is_refused(client: Client, path: str, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"Origin": origin}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect(path, headers=headers)
    assert refused.value.status == status


async def test_a_camera_without_a_picture_is_refused_in_words(
    watched: Watched, client: Client
) -> None:
    watched.problem = "this device does not record a/b/c."
    async with client.get("/live") as answer:
        assert answer.status == 400  # not a WebSocket
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await client.ws_connect("/live")
    assert refused.value.status == 503


async def test_viewers_are_limited(client: Client) -> None:
    async with client.ws_connect("/live") as one, client.ws_connect("/live") as other:
        await asyncio.gather(one.receive(), other.receive())
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/live")
        assert refused.value.status == 503


async def closed(watched: Watched) -> None:
    async def nothing_is_watched() -> bool:
        return not watched.feeds

    await wait_for(nothing_is_watched, within_s=10, what="the feed is released")
