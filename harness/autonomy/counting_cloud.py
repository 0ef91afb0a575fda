"""S3 and SQS as a recorder sees them, which keep nothing: each object is hashed and counted."""

import base64
import hashlib
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from domain.errors import VigilError
from domain.identity import FragmentId, parse_fragment_key
from domain.times import utc_ms

HOST = "127.0.0.1"
BUCKET = "counted"
_MAX_BODY_BYTES = 64 << 20


class CountingCloud:
    """One bucket and one queue on a port of loopback. Use as an async context manager.

    `on_fragment` is called for each fragment that arrives for the first time, and its UTC, ms.
    """

    def __init__(self, on_fragment: Callable[[FragmentId, int], None]) -> None:
        self._on_fragment = on_fragment
        self._arrived: dict[tuple[str, str], bytearray] = {}
        self.fragments = 0
        self.again = 0
        """PUTs of an object that is there already."""
        self.damaged = 0
        """PUTs whose bytes are not those of the hash that came with them."""
        self.notices = 0
        self.ends = 0
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("PUT", "/{bucket}/{key:.*}", self._put)
        app.router.add_route("HEAD", "/{path:.*}", self._head)
        app.router.add_route("POST", "/{path:.*}", self._send)
        self._runner = web.AppRunner(app, access_log=None)
        self._site: web.TCPSite | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def listen(self) -> None:
        """Answer; on the port of before."""
        self._site = web.TCPSite(self._runner, HOST, self._port)
        await self._site.start()
        self._port = self._runner.addresses[0][1]

    async def deafen(self) -> None:
        """Answer nothing more: connections are refused."""
        if self._site is None:
            raise VigilError("the counting cloud does not listen.")
        await self._site.stop()
        self._site = None

    @property
    def url(self) -> str:
        """Where both are."""
        return f"http://{HOST}:{self._port}"

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.read()
        digest = hashlib.sha256(body).digest()
        expected = request.headers.get("X-Amz-Checksum-SHA256", "")
        if base64.b64encode(digest).decode() != expected:
            self.damaged += 1
            return web.Response(status=400)
        fragment = parse_fragment_key(request.match_info["key"])
        if fragment is None:
            self.ends += request.match_info["key"].endswith("end.json")
        elif not self._is_new(fragment):
            self.again += 1
            return web.Response(status=412)
        else:
            self.fragments += 1
            self._on_fragment(fragment, utc_ms())
        return web.Response(headers={"ETag": f'"{digest.hex()}"'})

    def _is_new(self, fragment: FragmentId) -> bool:
        """Note a fragment by its place in its run: a byte each."""
        seqs = self._arrived.setdefault((fragment.camera, fragment.run), bytearray())
        if fragment.seq >= len(seqs):
            seqs.extend(bytes(fragment.seq + 1 - len(seqs)))
        if seqs[fragment.seq]:
            return False
        seqs[fragment.seq] = 1
        return True

    async def _head(self, _: web.Request) -> web.Response:
        return web.Response(status=200)

    async def _send(self, request: web.Request) -> web.Response:
        entries: list[dict[str, Any]] = json.loads(await request.read()).get("Entries", [])
        self.notices += len(entries)
        sent = [
            {
                "Id": entry["Id"],
                "MessageId": str(self.notices),
                "MD5OfMessageBody": hashlib.md5(
                    entry["MessageBody"].encode(), usedforsecurity=False
                ).hexdigest(),
            }
            for entry in entries
        ]
        return web.json_response(
            {"Successful": sent, "Failed": []}, content_type="application/x-amz-json-1.0"
        )
