"""A TCP proxy in front of a store or queue that fails on command.

    workers ──► proxy ──► store    pass    bytes go through
                  │                error   each request is answered 500, then closed
                  │                busy    each request is answered 503, then closed
                  └ fault ◄ bench  reset   connections are reset, also in the middle
                                   flaky   each piece of a request may reset its connection
                                   hang    nothing is answered until the fault ends
                                   cut     every connection is reset at once, and every new one
                                   slow    64 kbit/s, all connections together, each way
                                   expired requests signed with EXPIRED_KEY are refused

A fault hits a share of the connections, drawn once for each connection and fault; of `flaky` the
share is that of the pieces.
"""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Literal

from harness.tcp_proxy import TcpProxy, until_one_ends

Fault = Literal["pass", "error", "busy", "reset", "flaky", "hang", "cut", "slow", "expired"]
FAULTS: tuple[Fault, ...] = ("error", "reset", "hang")
_PIECE = 1 << 16
SLOW_BYTES_S = 8_000
_PIECES_S = 100
"""Into about so many pieces a second the slow line cuts what it carries."""
_SLOW_PIECE = 2_000
"""The least of them."""
EXPIRED_KEY = "key-that-expires"
_ANSWERS: dict[Fault, tuple[bytes, bytes]] = {
    "error": (b"500 Internal Server Error", b"InternalError"),
    "busy": (b"503 Slow Down", b"SlowDown"),
    "expired": (b"403 Forbidden", b"ExpiredToken"),
}
_DRAIN_S = 0.2
_HEAD = 8_192
"""Bytes of a request that hold its headers."""


class FaultProxy(TcpProxy):
    """Listens on a free port of loopback and passes on to `host`:`port`."""

    def __init__(
        self,
        host: str,
        port: int,
        dice: random.Random,
        *,
        speaks_json: bool = False,
        slow_bytes_s: float = SLOW_BYTES_S,
    ) -> None:
        """`speaks_json`: refusals are worded as SQS does, else as S3 does; `slow_bytes_s`: what a
        slow line carries, each way.
        """
        super().__init__()
        self._target = host, port
        self._slow_bytes_s = slow_bytes_s
        self.slow_piece = max(int(slow_bytes_s / _PIECES_S), _SLOW_PIECE)
        """Bytes that the slow line carries at a time."""
        self.dice = dice
        self.speaks_json = speaks_json
        self._fault: Fault = "pass"
        self._share = 1.0
        self._busy_until_s = {True: 0.0, False: 0.0}
        self._over = asyncio.Event()
        self.hit = 0
        """Connections that a fault has hit."""
        self.done: Counter[Fault] = Counter()
        """What clients felt: connections reset, requests refused, pieces held back or slowed."""

    def begin(self, fault: Fault, share: float) -> None:
        """Let `share` of the connections, old and new, suffer from now on."""
        self._over.set()  # connections that suffer from an earlier fault go on
        self._over = asyncio.Event()
        self._fault, self._share = fault, share
        self._busy_until_s = {True: 0.0, False: 0.0}
        if fault == "cut":
            self.done[fault] += len(self._links)
            for link in self._links:
                link.cancel()

    async def slowed(self, size: int, *, asking: bool) -> None:
        """Wait as long as so many bytes take on the slow line, after what goes before them."""
        now_s = asyncio.get_running_loop().time()
        until_s = max(self._busy_until_s[asking], now_s) + size / self._slow_bytes_s
        self._busy_until_s[asking] = until_s
        await asyncio.sleep(until_s - now_s)

    @property
    def share(self) -> float:
        """What share is hit."""
        return self._share

    def end(self) -> None:
        """Let everything through again; what hung is reset."""
        self._fault = "pass"
        self._over.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on to the store, unless a fault hits."""
        await _ProxiedConnection(self, reader, writer).run(*self._target)

    def draw(self) -> tuple[Fault, asyncio.Event]:
        """Return the fault of a connection now, and the event that ends it."""
        share = 1.0 if self._fault == "flaky" else self._share
        hit = self._fault != "pass" and self.dice.random() < share
        self.hit += hit
        return (self._fault if hit else "pass"), self._over


class _ProxiedConnection:
    """One client's connection and ours to the store."""

    def __init__(
        self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._drawn: tuple[Fault, asyncio.Event] = ("pass", asyncio.Event())

    def _fault(self) -> Fault:
        if self._drawn[1] is not self._proxy._over:
            self._drawn = self._proxy.draw()
        fault, over = self._drawn
        return "pass" if over.is_set() else fault

    async def run(self, host: str, port: int) -> None:
        self._fault()  # drawn when it comes, not when the first bytes do
        with contextlib.suppress(OSError):
            store_reader, store_writer = await asyncio.open_connection(host, port)
            try:
                await until_one_ends(
                    self._pump(self._reader, store_writer, asking=True),
                    self._pump(store_reader, self._writer, asking=False),
                )
            finally:
                store_writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asking: bool
    ) -> None:
        while data := await source.read(_PIECE):
            fault = self._fault()
            if fault in ("reset", "cut"):
                self._proxy.done[fault] += 1
                return
            if fault == "flaky" and self._proxy.dice.random() < self._proxy.share:
                self._proxy.hit += 1
                self._proxy.done[fault] += 1
                return
            if fault == "hang":
                self._proxy.done[fault] += 1
                await self._drawn[1].wait()
                return
            if asking and (fault in ("error", "busy") or self._expired(fault, data)):
                self._proxy.done[fault] += 1
                await self._refuse(fault, source)
                return
            if fault == "slow":
                self._proxy.done[fault] += 1
                await self._trickle(data, sink, asking=asking)
            else:
                sink.write(data)
                await sink.drain()

    @staticmethod
    def _expired(fault: Fault, data: bytes) -> bool:
        return fault == "expired" and f"Credential={EXPIRED_KEY}/".encode() in data[:_HEAD]

    async def _trickle(self, data: bytes, sink: asyncio.StreamWriter, *, asking: bool) -> None:
        step = self._proxy.slow_piece
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            if self._fault() == "slow":
                await self._proxy.slowed(len(piece), asking=asking)
            sink.write(piece)
            await sink.drain()

    async def _refuse(self, fault: Fault, source: asyncio.StreamReader) -> None:
        status, code = _ANSWERS[fault]
        if self._proxy.speaks_json:
            kind, body = b"application/x-amz-json-1.0", b'{"__type":"%s","message":"no"}' % code
        else:
            kind = b"application/xml"
            body = b'<?xml version="1.0"?><Error><Code>%s</Code></Error>' % code
        self._writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: %s\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (status, kind, len(body), body)
        )
        await self._writer.drain()
        with contextlib.suppress(TimeoutError):  # a close with bytes unread is a reset
            async with asyncio.timeout(_DRAIN_S):
                while await source.read(_PIECE):
                    pass
