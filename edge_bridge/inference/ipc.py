"""What goes between the two processes: JSON headers with bytes, never pickles.

    length of all that follows (4 bytes) │ length of the header (4 bytes) │ header │ body
The worker reads hostile video, so nothing it sends is ever executed.
"""

import asyncio
import json
import select
import socket
import struct
import threading
from typing import Any

from domain.errors import VigilError

Header = dict[str, Any]
_LENGTHS = struct.Struct("<II")
MAX_MESSAGE_BYTES = 64 << 20


class IpcError(VigilError):
    """The other process sent what is no message; it is restarted."""


class PeerClosedError(VigilError):
    """The other process is gone."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """Return one message."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(4 + len(head) + len(body), len(head)) + head + body


def _split(content: bytes, head_size: int) -> tuple[Header, bytes]:
    try:
        header = json.loads(content[:head_size])
    except ValueError as error:
        raise IpcError(f"a message's header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise IpcError("a message's header is no JSON object")
    return header, content[head_size:]


def _check(size: int, head_size: int) -> int:
    """Return how many bytes follow the lengths."""
    if not 4 + head_size <= size <= MAX_MESSAGE_BYTES:
        raise IpcError(f"a message claims {size} bytes with a header of {head_size}")
    return size - 4


async def read(reader: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Return the next message; raises ClosedError at the end, WireError for what is none."""
    try:
        size, head_size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        content = await reader.readexactly(_check(size, head_size))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise PeerClosedError("the inference process closed its end") from error
    return _split(content, head_size)


class WorkerChannel:
    """The worker's end: blocking; one thread receives, any may send."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._buffer = bytearray()

    def receive(self, timeout_s: float) -> tuple[Header, bytes] | None:
        """Return the next message, or None when none is whole within `timeout_s`.

        Raises ClosedError when the other process is gone.
        """
        while (message := self._whole()) is None:
            ready, _, _ = select.select([self._end], [], [], timeout_s)
            if not ready:
                return None
            try:
                received = self._end.recv(1 << 20)
            except ConnectionError as error:
                raise PeerClosedError("the recording process is gone") from error
            if not received:
                raise PeerClosedError("the recording process is gone")
            self._buffer += received
        return message

    def send(self, header: Header) -> None:
        """Send one message; raises ClosedError when the other process is gone."""
        try:
            with self._sending:
                self._end.sendall(pack(header))
        except ConnectionError as error:
            raise PeerClosedError("the recording process is gone") from error

    def _whole(self) -> tuple[Header, bytes] | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        size, head_size = _LENGTHS.unpack_from(self._buffer)
        end = _LENGTHS.size + _check(size, head_size)
        if len(self._buffer) < end:
            return None
        content = bytes(self._buffer[_LENGTHS.size : end])
        del self._buffer[:end]
        return _split(content, head_size)
