"""Inter-process communication (IPC) of a program and its worker: JSON headers and bytes, no pickle.

    length of all that follows (4 bytes) │ length of the header (4 bytes) │ header │ body
A worker handles what may be hostile (video, models), so nothing it sends is ever executed.
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
    """The other process sent something that is not a message; it is restarted."""


class PeerClosedError(VigilError):
    """The other process has ended."""


def pack(header: Header, body: bytes = b"") -> bytes:
    """Return the bytes of one message."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(4 + len(head) + len(body), len(head)) + head + body


def _split(content: bytes, head_size: int) -> tuple[Header, bytes]:
    try:
        header = json.loads(content[:head_size])
    except ValueError as error:
        raise IpcError(f"a message's header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise IpcError("a message's header is not a JSON object")
    return header, content[head_size:]


def _check(size: int, head_size: int) -> int:
    """Return how many bytes follow the lengths."""
    if not 4 + head_size <= size <= MAX_MESSAGE_BYTES:
        raise IpcError(f"a message claims {size} bytes with a header of {head_size}")
    return size - 4


async def read(reader: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Return the next message; raises PeerClosedError at the end, IpcError if it is not valid."""
    try:
        size, head_size = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        content = await reader.readexactly(_check(size, head_size))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise PeerClosedError("the worker closed its socket") from error
    return _split(content, head_size)


class WorkerChannel:
    """The worker's side: blocking; one thread receives, any thread may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        # Not select(): it refuses descriptors from 1024 on, and the recorder hands over its own.
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._send_lock = threading.Lock()
        self._buffer = bytearray()

    def receive(self, timeout_s: float) -> tuple[Header, bytes] | None:
        """Return the next message; None: none is complete within `timeout_s`.

        Raises PeerClosedError when the other process has ended.
        """
        while (message := self._complete_message()) is None:
            if not self._readable.poll(timeout_s * 1_000):
                return None
            try:
                received = self._socket.recv(1 << 20)
            except ConnectionError as error:
                raise PeerClosedError("the program that started this worker has ended") from error
            if not received:
                raise PeerClosedError("the program that started this worker has ended")
            self._buffer += received
        return message

    def send(self, header: Header, body: bytes = b"") -> None:
        """Send one message; raises PeerClosedError when the other process has ended."""
        try:
            with self._send_lock:
                self._socket.sendall(pack(header, body))
        except ConnectionError as error:
            raise PeerClosedError("the program that started this worker has ended") from error

    def _complete_message(self) -> tuple[Header, bytes] | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        size, head_size = _LENGTHS.unpack_from(self._buffer)
        end = _LENGTHS.size + _check(size, head_size)
        if len(self._buffer) < end:
            return None
        content = bytes(self._buffer[_LENGTHS.size : end])
        del self._buffer[:end]
        return _split(content, head_size)
