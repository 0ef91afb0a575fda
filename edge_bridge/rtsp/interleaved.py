"""RTP and RTCP packets interleaved in the RTSP connection (RFC 2326, 10.12).

$ channel size(2) packet   $ channel size(2) packet   RTSP/1.0 200 OK ... $ ...
└──────── one read of the socket returns what arrived within 0.1 s ─────────┘
"""

import re
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from struct import Struct

from edge_bridge.rtsp.errors import UnsupportedStreamError

DOLLAR = 0x24
HEADER_SIZE = 4
unpack_header = Struct(">BBH").unpack_from
"""Returns "$", the channel and the packet's size from the interleaved header at an offset."""
RTP_HEADERS_SIZE = 16
"""Bytes of an interleaved header and the smallest RTP header after it."""
unpack_rtp_headers = Struct(">BBHBBHII").unpack_from
"""Returns "$", the channel, the size, then of RTP: the first two bytes, the sequence
number, the timestamp and the SSRC."""

PacketHandler = Callable[[bytearray, int, int], None]
"""Handles the packet in data[at:end]. The bytes change after it returns."""
UsualHandler = Callable[[bytearray, int, int], int]
"""Handles packets of its channel from data[at] on, as long as they are whole and usual.

Returns where the first packet begins that it did not handle."""

_READ_BYTES = 256 << 10
_BUFFER_BYTES = _READ_BYTES + (65_536 + 4)
"""Room for a whole packet that began in the previous read, before the next read."""
_END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")
_MESSAGE_START = re.compile(rb"RTSP/\d\.\d \d{3}|[A-Z_]{4,13} \S")
_MESSAGE_PREFIX = re.compile(rb"[A-Z_]{1,13} ?|R|RT|RTS|RTSP|RTSP/[\d. ]{0,7}")
"""What may be the start of a message once more bytes arrive."""
_STARTS = (DOLLAR, 0x0D, 0x0A)
"""How a packet begins, or an empty line."""
_RTP_VERSION = 2
_MAX_MESSAGE_BYTES = 16 << 10
_MAX_SKIPPED_BYTES = 1 << 20
"""Bytes that are neither packet nor message, without a packet between them."""


_MAX_FREE_BUFFERS = 8
_MAX_COPIED_BYTES = 16 << 10
"""A longer rest, of a packet that is not complete, keeps its buffer."""


class _ReceiveBuffers:
    """Buffers for the threads of all cameras: each is in use only while a read is handled."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer of _BUFFER_BYTES, with any content."""
        try:
            return self._free.pop()
        except IndexError:
            return bytearray(_BUFFER_BYTES)

    def give_back(self, buffer: bytearray) -> None:
        """Let others use a buffer, if it has the usual size."""
        if len(buffer) == _BUFFER_BYTES and len(self._free) < _MAX_FREE_BUFFERS:
            self._free.append(buffer)


_buffers = _ReceiveBuffers()


class InterleavedReader:
    """Reads the connection and calls the handler of each whole packet, without copying it."""

    def __init__(
        self,
        connection: socket.socket,
        leftover: bytes,
        packet_handlers: Mapping[int, PacketHandler],
        usual_handlers: Mapping[int, UsualHandler],
        on_message: Callable[[bytes], None],
    ) -> None:
        """`leftover`: bytes of the stream that were already read. Handlers are by channel.

        `on_message` is called with the header of each RTSP message between the packets.
        """
        self._connection = connection
        self._packet_handlers = packet_handlers
        self._usual_handlers = usual_handlers
        self._on_message = on_message
        self._data = bytearray(max(_BUFFER_BYTES, len(leftover) + _READ_BYTES))
        """The buffer; between reads only the rest that was not handled."""
        self._has_buffer = True
        self._data[: len(leftover)] = leftover
        self._end = len(leftover)
        self._in_sync = True
        """Whether a packet or message begins after the last one, as far as is known."""
        self._skip = 0
        """Bytes of a message's body that are still to come."""
        self._skipped = 0
        self._last_read = 0
        self.unclaimed = 0
        """Packets of channels without a handler, and pieces of garbage."""
        self.received = 0
        """Bytes read since PLAY."""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def receive(self) -> bool:
        """Read once, within the socket's timeout; return False if the connection was closed.

        Raises OSError; TimeoutError and ssl.SSLError are among them.
        """
        if not self._has_buffer:
            self._take_buffer()
        view = memoryview(self._data)[self._end :]
        self._last_read = self._connection.recv_into(view, _READ_BYTES)
        self._end += self._last_read
        self.received += self._last_read
        return self._last_read > 0

    @property
    def has_more(self) -> bool:
        """Whether another read would return at once, as far as a cheap test can say."""
        if isinstance(self._connection, ssl.SSLSocket):
            return self._connection.pending() > 0 or bool(self._poll.poll(0))
        return self._last_read == _READ_BYTES

    def dispatch(self) -> None:
        """Call the handlers of the whole packets that were read.

        Raises UnsupportedStreamError if no packets are found, and what the handlers raise.
        """
        data = self._data
        packet_handlers = self._packet_handlers
        usual_handlers = self._usual_handlers
        end = self._end
        at = min(self._skip, end)
        self._skip -= at
        while end - at >= HEADER_SIZE:
            dollar, channel, size = unpack_header(data, at)
            if dollar != DOLLAR:
                size = self._skip_other(at)
                if not size:
                    break
                at += size
                continue
            following = at + HEADER_SIZE + size
            # A usual packet behind the one before it needs no check.
            usual = self._in_sync and self._is_plausible(at)
            if following > end:
                if usual:
                    break
                following = self._find_packets(at)  # instead of a packet that may not be one
                if following < 0:
                    break
                self._count_skipped(following - at)
                at = following
                continue
            if not usual:
                if not self._is_followed(following):
                    at += self._skip_garbage(at, 1)
                    continue
                self._in_sync = self._in_sync or following < end
            handle_usual = usual_handlers.get(channel)
            if handle_usual is not None and (handled := handle_usual(data, at, end)) > at:
                at = handled
                self._skipped = 0
                continue
            handle = packet_handlers.get(channel)
            if handle is not None:
                handle(data, at + HEADER_SIZE, following)
                self._skipped = 0
            else:
                self._count_skipped(following - at)
            at = following
        left = max(end - at, 0)
        self._skip += max(at - end, 0)
        if not self._has_buffer:
            return  # nothing was read since the last call
        self._end = left
        if left > _MAX_COPIED_BYTES:
            data[:left] = data[at:end]
            return
        self._data = data[at : at + left]
        self._has_buffer = False
        _buffers.give_back(data)

    def _take_buffer(self) -> None:
        """Take a buffer for a read, with the rest of the last one; wait for data before."""
        if not isinstance(self._connection, ssl.SSLSocket):
            timeout_s = self._connection.gettimeout()
            if not self._poll.poll(None if timeout_s is None else timeout_s * 1_000):
                raise TimeoutError("timed out")
        rest = self._data
        self._data = _buffers.take()
        self._data[: self._end] = rest
        self._has_buffer = True

    def _skip_other(self, at: int) -> int:
        """Return how many bytes from `at` are a message or garbage; 0: more bytes are needed."""
        piece = bytes(memoryview(self._data)[at : min(self._end, at + _MAX_MESSAGE_BYTES)])
        if _MESSAGE_START.match(piece):
            header_end = _END_OF_HEADERS.search(piece)
            if header_end is not None:
                header = piece[: header_end.start()]
                self._on_message(header)
                return header_end.end() + _content_length(header)
            if len(piece) < _MAX_MESSAGE_BYTES:
                return 0
        elif _MESSAGE_PREFIX.fullmatch(piece):
            return 0
        return self._skip_garbage(at, 0)

    def _is_plausible(self, at: int) -> bool:
        """Return whether at `at` a packet of a known channel and of RTP's version 2 begins."""
        return at + HEADER_SIZE >= self._end or (
            self._data[at + 1] in self._packet_handlers
            and self._data[at + HEADER_SIZE] >> 6 == _RTP_VERSION
        )

    def _find_packets(self, at: int) -> int:
        """Return where after `at` a plausible packet begins that another one follows, or -1."""
        found = at
        while (found := self._data.find(DOLLAR, found + 1, self._end - HEADER_SIZE)) >= 0:
            following = found + HEADER_SIZE + unpack_header(self._data, found)[2]
            if (
                self._is_plausible(found)
                and following < self._end - HEADER_SIZE
                and self._data[following] == DOLLAR
                and self._is_plausible(following)
            ):
                break
        return found

    def _is_followed(self, following: int) -> bool:
        """Return whether a packet or message begins where an unusual packet ends, if known."""
        if following >= self._end or self._data[following] in _STARTS:
            return True
        begun = _MESSAGE_START.match(self._data, following, self._end)
        return bool(begun or _MESSAGE_PREFIX.fullmatch(self._data, following, self._end))

    def _skip_garbage(self, at: int, least: int) -> int:
        """Return how many bytes from `at` to skip: to the next packet of a known channel."""
        found = at + least
        while (found := self._data.find(DOLLAR, found, self._end)) >= 0:
            if self._is_plausible(found):
                break
            found += 1
        size = (found if found >= 0 else self._end) - at
        self._in_sync = False
        self._count_skipped(size)
        return size

    def _count_skipped(self, size: int) -> None:
        self.unclaimed += 1
        self._skipped += size
        if self._skipped > _MAX_SKIPPED_BYTES:
            raise UnsupportedStreamError("it sends no RTP packets of its streams")


def _content_length(header: bytes) -> int:
    for line in header.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            try:
                return min(max(int(value), 0), _MAX_SKIPPED_BYTES)
            except ValueError:
                return 0
    return 0
