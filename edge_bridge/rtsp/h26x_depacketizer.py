"""Coded pictures out of RTP packets: H.264 (RFC 6184, 5) and H.265 (RFC 7798, 4).

    packets   [SPS|PPS] [IDR 1/3][IDR 2/3][IDR 3/3, marker] [slice, marker] ...
    pictures  SPS PPS IDR ──────────────────────────────►   slice ──────►

A picture ends where the time stamp changes, for some cameras set the marker after each slice, and
some never. Only where a marker was set and another picture begins does the same time count as two.
"""

from typing import NamedTuple

from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.interleaved import (
    DOLLAR,
    HEADER_SIZE,
    RTP_HEADERS_SIZE,
    unpack_rtp_headers,
)
from edge_bridge.rtsp.nal import NAL_TYPES, START, has_recovery_point
from edge_bridge.rtsp.rtp import (
    NO_EXTENSIONS,
    RTP_HEADER_SIZE,
    SequenceTracker,
    TimestampUnwrapper,
    payload,
    unpack_rtp_header,
)
from edge_bridge.rtsp.sdp import MediaDescription

MOST_BYTES = 16 << 20
"""Of one picture; 4K keyframes have one or two."""
_MOST_PIECES = 100_000
_IN_ORDER = (
    ("sprop-max-don-diff", "0"),
    ("sprop-depack-buf-nalus", "0"),
    ("sprop-interleaving-depth", "0"),
)


class AccessUnit(NamedTuple):
    """One picture in Annex B form."""

    ticks: int
    """Of 90 kHz, unwrapped, from 0."""
    data: bytes
    key: bool
    sets: bool
    """Whether it brings its parameter sets with it."""
    arrived_ms: int
    """UTC when its last packet came."""


class H26xDepacketizer:
    """Of one stream. `take` packets; what is whole stands in `done`, which the caller empties."""

    def __init__(self, media: MediaDescription, channel: int = 0) -> None:
        """Raises UnsupportedStreamError if NAL units may arrive out of decoding order."""
        if any(media.format.get(name, usual) != usual for name, usual in _IN_ORDER):
            raise UnsupportedStreamError("its pictures are interleaved")
        self.done: list[AccessUnit] = []
        self.now_ms = 0
        """UTC of what is taken next; kept by the caller."""
        self.sequence = SequenceTracker()
        self.time = TimestampUnwrapper()
        self.kinds = NAL_TYPES[media.coding]
        self._channel = channel
        self._payload_type = media.payload_type
        self._stamp: int | None = None
        self._units: list[bytes | bytearray] = []
        self._bytes = 0
        self._slices = self._whole = self._key = self._sets = self._marked = False
        self._arrived_ms = 0
        self._in_pieces: int | None = None
        """Where in `_units` the unit begins whose pieces are coming."""
        self._middle: bytes | bytearray = b""
        """What its pieces begin with."""

    def take(self, data: bytearray, at: int, end: int) -> None:
        """Take the RTP packet that fills data[at:end].

        Raises UnsupportedStreamError where it is packed in a way that is not read here.
        """
        if end - at < RTP_HEADER_SIZE:
            return
        first, second, number, stamp = unpack_rtp_header(data, at)
        start, end = (
            (at + RTP_HEADER_SIZE, end) if first == NO_EXTENSIONS else payload(data, at, end)
        )
        if start >= end or second & 0x7F != self._payload_type:
            return
        sequence = self.sequence
        if number != sequence.expected and sequence.gap(number):
            self._drop_pieces()
        sequence.expected = number + 1 & 0xFFFF
        if stamp != self._stamp:
            self._close()
            self._stamp, self._marked = stamp, False
        if self._in_pieces is not None and data.startswith(self._middle, start, end):
            self._units.append(data[start + len(self._middle) : end])
            self._bytes += end - start
        else:
            self._other(data, start, end)
        self._marked = second >= 0x80
        self._arrived_ms = self.now_ms
        if self._bytes > MOST_BYTES or len(self._units) > _MOST_PIECES:
            raise UnsupportedStreamError(f"a picture of more than {self._bytes >> 20} MiB came")

    def go_on(self, data: bytearray, at: int, end: int) -> int:
        """Take the frames in data[at:end] as long as they bring the middle of a unit in pieces.

        Nearly all do: these lines are what reading costs. Returns where the first one that is
        anything else begins, which may be an incomplete one.
        """
        if self._in_pieces is None or self._bytes > MOST_BYTES or len(self._units) > _MOST_PIECES:
            return at
        expected, stamp, middle, take = (
            self.sequence.expected, self._stamp, self._middle, self._units.append
        )  # fmt: skip
        own, plain, usual, begins = (
            self._channel,
            NO_EXTENSIONS,
            self._payload_type,
            RTP_HEADERS_SIZE + len(middle),
        )
        began, least = at, end - begins
        while at < least:
            sign, channel, size, first, second, number, told = unpack_rtp_headers(data, at)
            following = at + HEADER_SIZE + size
            if (
                number != expected
                or told != stamp
                or second != usual
                or first != plain
                or channel != own
                or sign != DOLLAR
                or following > end
                or not data.startswith(middle, at + RTP_HEADERS_SIZE, following)
            ):
                break
            take(data[at + begins : following])
            expected = number + 1 & 0xFFFF
            at = following
        if at > began:
            self.sequence.expected, self._marked, self._arrived_ms = expected, False, self.now_ms
            self._bytes += at - began
        return at

    def finish(self) -> None:
        """Close the last picture where it is whole: nothing will come any more."""
        if self._marked:
            self._close()

    def _other(self, data: bytearray, start: int, end: int) -> None:
        kinds = self.kinds
        kind = kinds.of(data[start])
        if kind == kinds.pieces:
            self._piece(data, start + kinds.head, end)
        elif kind <= kinds.most:
            self._unit(data[start:end], kind)
        elif kind == kinds.together:
            self._several(data, start + kinds.head, end)
        else:
            raise UnsupportedStreamError(f"its pictures are packed in units of kind {kind}")

    def _piece(self, data: bytearray, at: int, end: int) -> None:
        if at >= end:
            return
        said = data[at]
        if said & 0x80:
            self._drop_pieces()
            head = self._head_of(data, at)
            kind = self.kinds.of(head[0])
            self._begin(kind, data[at + 1] if at + 1 < end else 0)
            self._in_pieces = len(self._units)
            self._units.append(START + head)
            # What the next pieces begin with, but for the last: neither the first nor the last.
            self._middle = data[at - self.kinds.head : at] + bytes((said & 0x3F,))
        elif self._in_pieces is None:
            return  # its beginning is missing
        self._units.append(data[at + 1 : end])
        self._bytes += end - at
        if said & 0x40:
            self._in_pieces, self._middle = None, b""
            self._whole = True

    def _head_of(self, data: bytearray, at: int) -> bytes:
        """Return the head of the NAL unit whose pieces' own head stands at `at`."""
        if self.kinds.head == 1:
            return bytes((data[at - 1] & 0xE0 | data[at] & 0x1F,))
        return bytes((data[at - 2] & 0x81 | (data[at] & 0x3F) << 1, data[at - 1]))

    def _several(self, data: bytearray, at: int, end: int) -> None:
        while at + 2 < end:
            size = data[at] << 8 | data[at + 1]
            at += 2
            if size and at + size <= end:
                self._unit(data[at : at + size], self.kinds.of(data[at]))
            at += size

    def _unit(self, unit: bytearray, kind: int) -> None:
        head = self.kinds.head
        if len(unit) <= head:
            return
        self._drop_pieces()
        self._begin(kind, unit[head])
        if kind == self.kinds.remarks and has_recovery_point(bytes(unit)):
            self._key = True
        self._units += (START, unit)
        self._bytes += len(unit)
        self._whole = self._whole or kind in self.kinds.slices

    def _begin(self, kind: int, first: int) -> None:
        """Note the kind of a unit that begins, and the first byte behind its head."""
        kinds = self.kinds
        is_slice = kind in kinds.slices
        # The first bit of a slice tells whether it is its picture's first.
        begins = first & 0x80 if is_slice else kind not in kinds.ended
        if begins and self._marked and self._slices:
            self._close()
        if is_slice:
            self._slices = True
            self._key = self._key or kind in kinds.keys
        elif kind == kinds.sps:
            self._sets = True

    def _drop_pieces(self) -> None:
        """Forget a unit whose end never came; what it belongs to goes on without it."""
        if self._in_pieces is not None:
            del self._units[self._in_pieces :]
            self._in_pieces, self._middle = None, b""

    def _close(self) -> None:
        self._drop_pieces()
        if not self._slices:
            return  # parameter sets with a time of their own belong to the next picture
        ticks = self.time.ticks(self._stamp or 0)
        if self._whole:
            data = b"".join(self._units)
            self.done.append(AccessUnit(ticks, data, self._key, self._sets, self._arrived_ms))
        self._units.clear()
        self._bytes = 0
        self._slices = self._whole = self._key = self._sets = self._marked = False
