"""An HTTP server between players and the web application: it adds the key."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

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
    playlists: dict[str, list[str]] = field(default_factory=dict)
    """The playlists that were sent, by path."""


@asynccontextmanager
async def running_front(web: Web, pages: Mapping[str, bytes] | None = None) -> AsyncIterator[Front]:
    """Run it; `pages` are files that it serves itself, by path."""
    front = Front()
    own = pages or {}

    async def handle(request: aiohttp_web.Request) -> aiohttp_web.Response:
        if (page := own.get(request.path)) is not None:
            kind = "text/javascript" if request.path.endswith(".js") else "text/html"
            return aiohttp_web.Response(body=page, content_type=kind)
        part = request.headers.get("Range", "")
        async with web.client.get(
            request.path_qs, headers={"Range": part} if part else {}
        ) as answer:
            body = await answer.read()
            headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
            if "playlist" in request.path:
                front.lists += 1
                front.playlists.setdefault(request.path, []).append(body.decode())
                if front.ended and b"#EXT-X-ENDLIST" not in body:
                    body += b"#EXT-X-ENDLIST\n"
            return aiohttp_web.Response(status=answer.status, body=body, headers=headers)

    app = aiohttp_web.Application()
    app.router.add_get("/{any:.*}", handle)
    async with TestServer(app) as server:
        front.url = str(server.make_url("")).rstrip("/")
        yield front
