"""A TCP proxy in front of a store that can be told to fail: 500, reset or hang.

    workers ──► proxy ──► store        pass    bytes go through
                  │                    error   each request is answered 500, then closed
                  └ fault ◄── bench    reset   connections are reset, also in the middle
                                       hang    nothing is answered until the fault ends

A fault hits a share of the connections, drawn once for each connection and fault.
"""

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Literal, Self

Fault = Literal["pass", "error", "reset", "hang"]
FAULTS: tuple[Fault, ...] = ("error", "reset", "hang")
_PIECE = 1 << 16
_BODY = b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>'
_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/xml\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_DRAIN_S = 0.2


class FaultProxy:
    """Listens on a free port of loopback and passes on to `host`:`port`."""

    def __init__(self, host: str, port: int, dice: random.Random) -> None:
        self._target = host, port
        self._dice = dice
        self._fault: Fault = "pass"
        self._share = 1.0
        self._over = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.hit = 0
        """Connections that a fault has hit."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where clients find the store."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def begin(self, fault: Fault, share: float) -> None:
        """Let `share` of the connections, old and new, suffer from now on."""
        self._over.set()  # whoever suffers from an earlier fault is let go
        self._over = asyncio.Event()
        self._fault, self._share = fault, share

    def end(self) -> None:
        """Let everything through again; what hung is reset."""
        self._fault = "pass"
        self._over.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await _Link(self, reader, writer).run(*self._target)
        finally:
            self._links.discard(task)
            writer.transport.abort()

    def draw(self) -> tuple[Fault, asyncio.Event]:
        """Return what a connection suffers from now, and what tells that it is over."""
        hit = self._fault != "pass" and self._dice.random() < self._share
        self.hit += hit
        return (self._fault if hit else "pass"), self._over


class _Link:
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
        with contextlib.suppress(OSError):
            store_reader, store_writer = await asyncio.open_connection(host, port)
            try:
                ways = [
                    asyncio.create_task(self._pump(self._reader, store_writer, asking=True)),
                    asyncio.create_task(self._pump(store_reader, self._writer, asking=False)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            finally:
                store_writer.transport.abort()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, asking: bool
    ) -> None:
        while data := await source.read(_PIECE):
            fault = self._fault()
            if fault == "reset":
                return
            if fault == "hang":
                await self._drawn[1].wait()
                return
            if fault == "error" and asking:
                self._writer.write(_ERROR)
                await self._writer.drain()
                with contextlib.suppress(TimeoutError):  # a close with bytes unread is a reset
                    async with asyncio.timeout(_DRAIN_S):
                        while await source.read(_PIECE):
                            pass
                return
            sink.write(data)
            await sink.drain()
