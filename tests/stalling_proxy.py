"""A TCP proxy whose connections can stall half-way: open, and nothing passes; new ones pass."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_PIECE = 1 << 14


@dataclass(eq=False)
class _Connection:
    head: bytes
    """Its request."""
    may_pass: asyncio.Event = field(default_factory=asyncio.Event)


class StallingProxy:
    """Passes on to a port of loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: list[_Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def opened(self, part: bytes) -> int:
        """Return how many connections came so far whose request has these bytes."""
        return sum(part in each.head for each in self._connections)

    def stall(self, part: bytes) -> int:
        """Let nothing pass any more, either way, on such connections; return how many stall now."""
        found = [each for each in self._connections if part in each.head]
        for each in found:
            each.may_pass.clear()
        return len(found)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._connect(reader, writer)
        except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(await reader.readuntil(b"\r\n\r\n"))
        connection.may_pass.set()
        self._connections.append(connection)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            far_writer.write(connection.head)
            ways = [
                asyncio.create_task(_pump(connection, reader, far_writer)),
                asyncio.create_task(_pump(connection, far_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
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
