"""RTSP's own connection while a camera plays (RFC 2326, 10.12), read in large pieces.

$ channel length(2) packet   $ channel length(2) packet   RTSP/1.0 200 OK ... $ ...
└──────── one read of the socket takes what a tenth of a second brought ────────┘
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
unpack_rtp_headers = Struct(">BBHBBHI").unpack_from
"""Returns "$", the channel, the packet's size, then RTP's first byte, its second byte, the sequence
number and the timestamp."""

PacketHandler = Callable[[bytearray, int, int], None]
"""Takes the packet that fills data[at:end], whose bytes change once it has returned."""
FragmentHandler = Callable[[bytearray, int, int], int]
"""Goes on taking frames of its channel from data[at:end], as far as they are easily taken; returns
where the first one that it did not take begins."""

_READ = 256 << 10
_BUFFER = _READ + (65_536 + 4)
"""A whole packet that began in the piece before fits in front of the next one."""
_ENDS = b"\r\n\r\n"
_TEXT = re.compile(rb"RTSP/\d\.\d \d{3}|[A-Z_]{4,13} \S")
_PERHAPS = re.compile(rb"[A-Z_]{1,13} ?|R|RT|RTS|RTSP|RTSP/[\d. ]{0,7}")
"""What may become a text when more of it comes."""
_MOST_TEXT = 16 << 10
_MOST_SKIPPED = 1 << 20
"""Bytes that are neither packet nor text, without a packet between them."""


class InterleavedReader:
    """Hands each whole packet to whom it is for; nothing of the stream is copied for it."""

    def __init__(
        self,
        connection: socket.socket,
        begun: bytes,
        takes: Mapping[int, PacketHandler],
        goes: Mapping[int, FragmentHandler],
        said: Callable[[bytes], None],
    ) -> None:
        """`begun`: bytes of the stream that have been read already. `takes` and `goes`: by
        channel. `said` is called with what the camera says in between, without its body."""
        self._connection = connection
        self._takes, self._goes, self._said = takes, goes, said
        self._data = bytearray(max(_BUFFER, len(begun) + _READ))
        self._view = memoryview(self._data)
        self._data[: len(begun)] = begun
        self._end = len(begun)
        self._skip = 0
        """Bytes of a text's body that are still to come."""
        self._skipped = 0
        self._got = 0
        self.received = 0
        """Bytes, since PLAY."""
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def receive(self) -> bool:
        """Read once, waiting as long as the connection's time limit; False: it was closed.

        Raises OSError, TimeoutError and ssl.SSLError among them.
        """
        self._got = self._connection.recv_into(self._view[self._end :], _READ)
        self._end += self._got
        self.received += self._got
        return self._got > 0

    @property
    def has_more(self) -> bool:
        """Whether another read would not wait, as far as can be told cheaply."""
        if isinstance(self._connection, ssl.SSLSocket):
            return self._connection.pending() > 0 or bool(self._poll.poll(0))
        return self._got == _READ

    def dispatch(self) -> None:
        """Hand on the whole packets that have been read.

        Raises UnsupportedStreamError if no packets are found, and what the handlers raise.
        """
        data, takes, goes, end = self._data, self._takes, self._goes, self._end
        at = min(self._skip, end)
        self._skip -= at
        while end - at >= HEADER_SIZE:
            sign, channel, size = unpack_header(data, at)
            if sign != DOLLAR:
                size = self._other(at)
                if not size:
                    break
                at += size
                continue
            following = at + HEADER_SIZE + size
            if following > end:
                break
            take = takes.get(channel)
            if take is not None:
                take(data, at + HEADER_SIZE, following)
                self._skipped = 0
                if channel in goes:
                    following = goes[channel](data, following, end)
            else:
                self._count_skipped(following - at)
            at = following
        left = max(end - at, 0)
        self._skip += max(at - end, 0)
        if at and left:
            data[:left] = data[at:end]
        self._end = left

    def _other(self, at: int) -> int:
        """Return how many bytes from `at` are text or rubbish; 0: more must come to tell."""
        piece = bytes(self._view[at : min(self._end, at + _MOST_TEXT)])
        if _TEXT.match(piece):
            ends = piece.find(_ENDS)
            if ends >= 0:
                head = piece[:ends]
                self._said(head)
                return ends + len(_ENDS) + _body(head)
            if len(piece) < _MOST_TEXT:
                return 0
        elif _PERHAPS.fullmatch(piece):
            return 0
        sign = piece.find(DOLLAR)
        size = sign if sign >= 0 else len(piece)
        self._count_skipped(size)
        return size

    def _count_skipped(self, size: int) -> None:
        self._skipped += size
        if self._skipped > _MOST_SKIPPED:
            raise UnsupportedStreamError("what it sends are no packets of its streams")


def _body(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            try:
                return min(max(int(value), 0), _MOST_SKIPPED)
            except ValueError:
                return 0
    return 0
