"""A proxy before S3 and SQS that counts requests: what AWS would bill."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from local.ports import HOST, find_free

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "expect"}


@dataclass(frozen=True, slots=True)
class S3Request:
    """One request to S3."""

    method: str
    key: str
    query: dict[str, str]
    body_bytes: int
    status: int

    @property
    def prefix(self) -> str | None:
        """What is listed; None: it lists nothing."""
        return self.query.get("prefix") if "list-type" in self.query else None


@dataclass(frozen=True, slots=True)
class SqsRequest:
    """One request to SQS."""

    action: str
    bodies: tuple[bytes, ...]
    """Of the messages that are sent, or were received."""


@dataclass
class CountingGate:
    """Serves on a port of its own, in this event loop. Hosts and signatures pass unchanged."""

    s3_endpoint: str
    sqs_endpoint: str
    bucket: str
    s3: list[S3Request] = field(default_factory=list)
    sqs: list[SqsRequest] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._port = find_free()
        self._client = aiohttp.ClientSession(
            auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
        )
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Its address, for S3 and SQS."""
        return f"http://{HOST}:{self._port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        action = request.headers.get("X-Amz-Target", "").removeprefix("AmazonSQS.")
        base = self.sqs_endpoint if action else self.s3_endpoint
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        async with self._client.request(
            request.method,
            f"{base}{request.raw_path}",
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as answer:
            content = await answer.read()
        if action:
            self._count_sqs(action, body, content)
        else:
            self._count_s3(request, body, answer.status)
        kept = {
            name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        if request.method != "HEAD":
            kept.pop("Content-Length", None)
        return web.Response(status=answer.status, body=content, headers=kept)

    def _count_s3(self, request: web.Request, body: bytes, status: int) -> None:
        key = unquote(request.path).removeprefix(f"/{self.bucket}").lstrip("/")
        self.s3.append(S3Request(request.method, key, dict(request.query), len(body), status))

    def _count_sqs(self, action: str, body: bytes, content: bytes) -> None:
        asked: dict[str, Any] = json.loads(body or b"{}")
        answered: dict[str, Any] = json.loads(content or b"{}")
        texts = [
            entry["MessageBody"] for entry in asked.get("Entries", []) if "MessageBody" in entry
        ]
        texts += [message["Body"] for message in answered.get("Messages", [])]
        self.sqs.append(SqsRequest(action, tuple(text.encode() for text in texts)))


async def settled(gate: CountingGate, seconds: float = 1.0) -> None:
    """Wait until no request has come for a time."""
    before = -1
    while before != len(gate.s3):
        before = len(gate.s3)
        await asyncio.sleep(seconds)
