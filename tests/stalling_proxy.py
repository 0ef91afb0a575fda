"""A TCP proxy whose connections can stall half-way: open, and nothing passes; new ones pass."""

import asyncio
import contextlib
from dataclasses import dataclass, field

from harness.tcp_proxy import TcpProxy, until_one_ends

_PIECE = 1 << 14


@dataclass(eq=False)
class _Connection:
    head: bytes
    """Its request."""
    may_pass: asyncio.Event = field(default_factory=asyncio.Event)


class StallingProxy(TcpProxy):
    """Passes on to a port of loopback."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._connections: list[_Connection] = []

    def opened(self, part: bytes) -> int:
        """Return how many connections came so far whose request has these bytes."""
        return sum(part in each.head for each in self._connections)

    def stall(self, part: bytes) -> int:
        """Let nothing pass any more, either way, on such connections; return how many stall now."""
        found = [each for each in self._connections if part in each.head]
        for each in found:
            each.may_pass.clear()
        return len(found)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on, until the connection stalls."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(await reader.readuntil(b"\r\n\r\n"))
        connection.may_pass.set()
        self._connections.append(connection)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            far_writer.write(connection.head)
            await until_one_ends(
                _pump(connection, reader, far_writer), _pump(connection, far_reader, writer)
            )
        finally:
            far_writer.transport.abort()


async def _pump(
    connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_PIECE):
            await connection.may_pass.wait()
            sink.write(data)
            await sink.drain()
