"""Requests that no polite client sends, as bytes; and the grammar of those that a fuzzer tries."""

import asyncio
import base64
import json
import random
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

NASTY = [
    "", "%00", "%ff", "%ed%a0%80", "%f0%9f%98%80", "%", "%zz", "+", "-1", "0", "1", "1e9", "NaN",
    "Infinity", "9" * 15, "9" * 19, "'", "' OR 1=1--", "$1", "%25", "%2f", "..%2f..%2f",
    "%0d%0aX: y", "\\", "null", "[]", "{}", "[[", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z",
    "2026-03-01T12:00:60Z", "2026-03-01T12:00:00+99:99", "%d9%a1", "%ef%bc%91", "all", "a" * 300,
    "a" * 4_000, "a/" * 900, "%e2%80%ae", "%1b%5b2J", str(2**48), str(2**63), str(2**64),
]  # fmt: skip
HEADERS = [
    b"Range: bytes=0-0", b"Range: bytes=-1", b"Range: bytes=5-2", b"Range: bytes=" + b"9" * 20,
    b"Range: bytes=0-1,3-4", b"Range: bytes=\xb2-", b"If-None-Match: *", b'If-None-Match: "',
    b"If-None-Match: \xff", b"If-Modified-Since: x", b"If-Range: x", b"Accept-Encoding: gzip;q=x",
    b"Content-Type: application/json", b"Content-Type: x/\xff", b"Idempotency-Key: \xff",
    b"Content-Type: application/json; charset=nonsense", b"If-Match: \xff",
    b"Cookie: vigil_session=\xff.\xff", b"Cookie: vigil_session=AA.AA", b"Cookie: \xff=\xff; ;=",
    b"Cookie: vigil_edge=1.\xff", b"Cookie: vigil_edge=" + b"a" * 5_000,
    b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer " + b"a" * 5_000,
    b"Authorization: \xff", b"X-Forwarded-Proto: \xff", b"Expect: x", b"Upgrade: websocket",
    b"Content-Encoding: gzip", b"Content-Encoding: br", b"Content-Encoding: deflate",
]  # fmt: skip
BODIES = [
    b"", b"{}", b"[", b"[" * 4_000, b'{"key":1}', b'{"key":"\\ud800"}', b'{"key":"\xff"}',
    b'{"password":"\\ud800aaaaaaa"}', b'{"password":"\xff"}', b'["password"]', b"5", b"1e999",
    b"no gzip at all", b"\0" * 100, b'{"a":' * 1_000, b"x" * 100_000, b"9" * 5_000,
]  # fmt: skip


def any_cursor(dice: random.Random) -> str:
    """Return a page cursor, nearly right or far from it."""
    run = "01976a3b-0000-7000-8000-000000000000"
    odd = [float("inf"), float("nan"), 1e300, None, [], {}, "\0", "\ud800", "1", -1, 2**70, True]
    fields = [1, run, 1, "m", "1", 1]
    for _ in range(dice.randrange(3)):
        fields[dice.randrange(6)] = dice.choice(odd)
    text = dice.choice([json.dumps(fields), "[" * 1_400, "9" * 1_400, json.dumps(odd), "{}"])
    return base64.urlsafe_b64encode(text.encode(errors="surrogatepass")).decode()


PARAMETERS = [
    "from", "to", "at", "for_s", "width", "live", "buckets", "label", "cursor", "model", "version",
    "min_score", "limit", "x",
]  # fmt: skip
"""Names of query parameters: of a route that no test names, all are tried."""


def routes_of(app: web.Application, good: Mapping[str, str]) -> dict[str, list[str]]:
    """Return all addresses of an application for a Grammar, also those that no one thought of.

    Each is there twice: with {part} for what is variable, and with its `good` value, where it has
    one.
    """
    addresses: dict[str, list[str]] = {}
    for resource in app.router.resources():
        for values in ({}, good):
            path = re.sub(
                r"{(\w+)}", lambda name, v=values: v.get(name[1], "{part}"), resource.canonical
            )
            addresses[path] = PARAMETERS
    return addresses


@dataclass
class Grammar:
    """What is asked of one server: its routes, and which parameters each of them knows."""

    routes: dict[str, list[str]]
    """Path -> names of its parameters. A path may have {part} in it."""
    headers: list[bytes] = field(default_factory=list)
    """Sent along three times of four: who is asking."""

    def requests(self, dice: random.Random, count: int) -> list[bytes]:
        """Return at least `count` requests, and at least three of each route."""
        paths = [*self.routes] * 3
        paths += [dice.choice(list(self.routes)) for _ in range(count - len(paths))]
        return [self.request(dice, path) for path in paths]

    def request(self, dice: random.Random, path: str) -> bytes:
        """Return one request to a route."""
        names = self.routes[path]
        while "{part}" in path:
            path = path.replace("{part}", _text(dice) or "x", 1)
        if dice.random() < 0.1:
            path += "/" + _text(dice)
        given = []
        for _ in range(dice.randrange(4) if names else 0):
            name = dice.choice(names)
            given.append(f"{name}={any_cursor(dice) if name == 'cursor' else _text(dice)}")
        target = path + ("?" + "&".join(given) if given else "")
        method = dice.choice(["GET"] * 8 + ["HEAD", "POST", "POST", "DELETE", "PUT"])
        body = dice.choice(BODIES) if method in {"POST", "PUT"} else b""
        headers = dice.sample(HEADERS, dice.choice([0, 0, 1, 2]))
        if dice.random() < 0.75:
            headers = [*self.headers, *headers]
        return raw_request(method, target, headers, body)


def _text(dice: random.Random) -> str:
    if dice.random() < 0.7:
        return dice.choice(NASTY)
    return quote(dice.randbytes(dice.randrange(20)), safe="")


def raw_request(
    method: str, target: str, headers: list[bytes] | None = None, body: bytes = b""
) -> bytes:
    """Return a request, its header fields as given."""
    first = f"{method} {target.replace(' ', '%20')} HTTP/1.1".encode(errors="surrogatepass")
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join(
        [first, b"Host: x", b"Connection: close", length, *(headers or []), b"", body]
    )


async def send(
    port: int, *segments: bytes, tls: ssl.SSLContext | None = None
) -> tuple[int, bytes, bytes]:
    """Send a request; return status, header and body of the response. Status 0: none came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        async with asyncio.timeout(30):
            try:
                for segment in segments:
                    writer.write(segment)
                    await writer.drain()
                    await asyncio.sleep(0.01 if segment is not segments[-1] else 0)
                answer = await reader.read()
            except ConnectionError:
                answer = b""
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.") else 0
    return status, head, body
