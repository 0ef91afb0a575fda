"""An HTTP server between players and the web application: it adds the key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web as aiohttp_web
from aiohttp.test_utils import TestServer

from tests.integration.web_support import Web

HEADERS = ("Content-Type", "Content-Range", "Accept-Ranges", "ETag", "Cache-Control")


@dataclass
class Front:
    """Passes requests on with the key: not every player can send one."""

    url: str = ""
    ended: bool = False
    """A live list has no end. From now on it gets one, so that players end."""
    lists: int = 0
    """How many playlists were requested."""


@asynccontextmanager
async def running_front(web: Web) -> AsyncIterator[Front]:
    front = Front()

    async def handle(request: aiohttp_web.Request) -> aiohttp_web.Response:
        part = request.headers.get("Range", "")
        async with web.client.get(
            request.path_qs, headers={"Range": part} if part else {}
        ) as answer:
            body = await answer.read()
            headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
            if "playlist" in request.path:
                front.lists += 1
                if front.ended and b"#EXT-X-ENDLIST" not in body:
                    body += b"#EXT-X-ENDLIST\n"
            return aiohttp_web.Response(status=answer.status, body=body, headers=headers)

    app = aiohttp_web.Application()
    app.router.add_get("/{any:.*}", handle)
    async with TestServer(app) as server:
        front.url = str(server.make_url("")).rstrip("/")
        yield front
