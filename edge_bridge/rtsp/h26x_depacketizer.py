"""Depacketizer of H.264 (RFC 6184, 5) and H.265 (RFC 7798, 4): RTP packets to access units.

    RTP packets   [SPS|PPS] [IDR 1/3][IDR 2/3][IDR 3/3, marker] [slice, marker] ...
    access units  SPS PPS IDR ──────────────────────────────►   slice ──────►

A packet holds one NAL unit, or several (aggregation packet: STAP-A, AP), or a part of one
(fragmentation unit: FU-A, FU).

An access unit ends where the timestamp changes: some cameras set the marker after each slice, and
some never set it. Two access units may have the same timestamp. Then the first ends with a marker,
and the next NAL unit starts a picture.
"""

from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.h264_fields import FieldMerger
from edge_bridge.rtsp.interleaved import (
    DOLLAR,
    HEADER_SIZE,
    RTP_HEADERS_SIZE,
    unpack_rtp_headers,
)
from edge_bridge.rtsp.nal import (
    NAL_TYPES,
    START_CODE,
    after_start_code,
    has_recovery_point,
    parameter_sets,
    split_units,
)
from edge_bridge.rtsp.rtp import (
    NO_EXTENSIONS,
    RTP_HEADER_SIZE,
    PayloadTypeFilter,
    SequenceTracker,
    SourceFilter,
    TimestampUnwrapper,
    payload,
    unpack_rtp_header,
)
from edge_bridge.rtsp.sdp import MediaDescription
from media import native
from media.access_unit import AccessUnit

MAX_ACCESS_UNIT_BYTES = 16 << 20
"""A 4K keyframe has one or two MiB."""
_MAX_PARTS = 100_000
_MAX_SLICE_HEADER = 24
"""Bytes of a unit that are enough to find the field that a slice belongs to."""
_IN_DECODING_ORDER = (
    ("sprop-max-don-diff", "0"),
    ("sprop-depack-buf-nalus", "0"),
    ("sprop-interleaving-depth", "0"),
)
"""Parameters of a=fmtp, and their value if NAL units arrive in decoding order."""


class H26xDepacketizer:
    """Depacketizes one stream. `push` packets; the caller takes access units from `ready`."""

    def __init__(
        self, media: MediaDescription, channel: int = 0, *, use_native: bool = native.AVAILABLE
    ) -> None:
        """`use_native`: let the extension handle the usual packets.

        Raises UnsupportedStreamError if NAL units may arrive out of decoding order.
        """
        if any(media.fmtp.get(name, usual) != usual for name, usual in _IN_DECODING_ORDER):
            raise UnsupportedStreamError("its video packets are interleaved")
        self.ready: list[AccessUnit] = []
        """The complete access units, in decoding order. The caller empties it."""
        self.now_ms = 0
        """UTC of the next packet's arrival; the caller sets it."""
        self.sequence = SequenceTracker()
        self.timestamps = TimestampUnwrapper()
        self.units_dropped = 0
        """NAL units of which a packet was lost."""
        self.packets = 0
        """Packets of the stream so far, but for middle fragments."""
        self.empty = 0
        """Packets of private units, and time stamps of which no slice came."""
        self._source = SourceFilter()
        self.nal_types = NAL_TYPES[media.encoding]
        self._scanner = self.nal_types.scanner(channel) if use_native else None
        self._scanned: int | None = None
        """The timestamp of the access unit before, if the scanner read it; then none is open."""
        self._channel = channel
        self._payload_type = media.payload_type
        self.payload_types = PayloadTypeFilter(media.payload_type)
        self._timestamp: int | None = None
        self._parts: list[bytes | bytearray] = []
        """Start codes, NAL units and parts of NAL units, in order."""
        self._bytes = 0
        self._has_slices = False
        self._complete = False
        self._keyframe = False
        self._has_parameter_sets = False
        self._marked = False
        """Whether the last packet had the marker bit."""
        self._arrived_ms = 0
        self._fu_start: int | None = None
        """Index in `_parts` where the NAL unit begins whose fragments are arriving."""
        self._fields = FieldMerger()
        for unit in split_units(parameter_sets(media.fmtp, self.nal_types)):
            if self.nal_types.type_of(unit[0]) == self.nal_types.sps:
                self._learn_fields(unit)
        self._fu_prefix: bytes | bytearray = b""
        """What the payload of its middle fragments begins with."""

    def push(self, data: bytearray, at: int, end: int) -> None:
        """Depacketize the RTP packet in data[at:end].

        Raises UnsupportedStreamError if an access unit is too large.
        """
        if end - at < RTP_HEADER_SIZE:
            return
        first, second, number, timestamp, ssrc = unpack_rtp_header(data, at)
        if first == NO_EXTENSIONS:
            start, stop = at + RTP_HEADER_SIZE, end
        else:
            start, stop = payload(data, at, end)
        if start >= stop or (
            second & 0x7F != self._payload_type and not self._takes_payload_type(second & 0x7F)
        ):
            return
        sequence = self.sequence
        if not self._source.own(ssrc, self.now_ms) and not (
            number == sequence.expected and self._source.continues(ssrc)
        ):
            self._push_foreign(ssrc, data[at:end])
            return
        end = stop
        if number != sequence.expected:
            if sequence.expected is not None and number == sequence.expected - 1 & 0xFFFF:
                if not sequence.is_stuck(number):
                    return  # the same packet again
            elif sequence.gap(number):
                self._drop_fragments()
        sequence.expected = number + 1 & 0xFFFF
        self.packets += 1
        types = self.nal_types
        if types.type_of(data[start]) in types.skipped and not data.startswith(
            b"\x00\x00", start, end
        ):
            self.empty += 1
            return
        if timestamp != self._timestamp:
            self._end_access_unit()
            self._timestamp = timestamp
            self._marked = False
        self._scanned = None
        if self._fu_start is not None and data.startswith(self._fu_prefix, start, end):
            self._parts.append(data[start + len(self._fu_prefix) : end])
            self._bytes += end - start
        else:
            self._push_payload(data, start, end)
        self._marked = second >= 0x80
        self._arrived_ms = self.now_ms
        if self._bytes > MAX_ACCESS_UNIT_BYTES or len(self._parts) > _MAX_PARTS:
            raise UnsupportedStreamError(
                f"it sent a video frame of more than {self._bytes >> 20} MiB"
            )

    def _takes_payload_type(self, payload_type: int) -> bool:
        """Return whether packets with a payload type that is not the present one are the stream."""
        if not self.payload_types.accepts(payload_type, has_begun=self.packets > 0):
            return False
        self._payload_type = payload_type
        return True

    def _push_foreign(self, ssrc: int, packet: bytearray) -> None:
        """Handle a packet of another SSRC, and those before it once the stream goes on so."""
        for one in self._source.foreign(ssrc, packet, self.now_ms):
            if self._source.follow(one):
                self.sequence.expected = None  # its numbers are new: nothing is lost
                if not self._marked:
                    self._drop_fragments()
            self.push(one, 0, len(one))

    def push_usual(self, data: bytearray, at: int, end: int) -> int:
        """Depacketize the packets from data[at] on, as long as they are of the most usual kind.

        Returns where the first other packet begins; it may be incomplete, and it is for `push`.
        """
        if self._fu_start is None:
            return at if self._scanner is None else self._scan(self._scanner, data, at, end)
        too_large = self._bytes > MAX_ACCESS_UNIT_BYTES or len(self._parts) > _MAX_PARTS
        if too_large or self._source.waiting:
            return at
        if self._scanner is None:
            return self._push_fragments(data, at, end)
        at, packets, parts = self._scanner.middle_fragments(
            data,
            at,
            end,
            self._payload_type,
            self._source.ssrc or 0,
            self.sequence.expected or 0,
            self._timestamp or 0,
            bytes(self._fu_prefix),
        )
        if packets:
            self._parts.append(parts)
            self._added_fragments(packets, len(parts))
        return at

    def _scan(self, scanner: "native.AccessUnitScanner", data: bytearray, at: int, end: int) -> int:
        """Let the scanner read whole access units, if no unusual one is open."""
        source, expected = self._source, self.sequence.expected
        is_usual = (
            (self._has_slices or self._scanned is not None)
            and expected is not None
            and source.ssrc is not None
            and not source.waiting
            and not self._fields.in_use
        )
        if not is_usual or expected is None or source.ssrc is None:
            return at
        before = self._timestamp if self._scanned is None else self._scanned
        at, following, packets, units = scanner.scan(
            data, at, end, self._payload_type, source.ssrc, expected, before or 0
        )
        if units:
            if self._scanned is None:
                self._end_access_unit()
            for timestamp, unit, keyframe in units:
                ticks = self.timestamps.ticks(timestamp)
                self.ready.append(AccessUnit(ticks, unit, keyframe, False, self.now_ms))
            self._scanned = units[-1][0]
            self._timestamp = following
            self._marked = False
            self.sequence.expected = expected + packets & 0xFFFF
            self.packets += packets
            source.note_own(packets, self.now_ms)
        return at

    def _push_fragments(self, data: bytearray, at: int, end: int) -> int:
        """Depacketize the packets in data[at:end] as long as they are middle fragments."""
        # Hot loop: nearly all packets of a stream are middle fragments.
        expected = self.sequence.expected
        current_timestamp = self._timestamp
        prefix = self._fu_prefix
        append = self._parts.append
        own_channel = self._channel
        own_ssrc = self._source.ssrc
        no_extensions = NO_EXTENSIONS
        payload_type = self._payload_type
        data_offset = RTP_HEADERS_SIZE + len(prefix)
        began, before = at, len(self._parts)
        last = end - data_offset
        while at < last:
            dollar, channel, size, first, second, number, timestamp, ssrc = unpack_rtp_headers(
                data, at
            )
            following = at + HEADER_SIZE + size
            if (
                number != expected
                or timestamp != current_timestamp
                or ssrc != own_ssrc
                or second != payload_type  # without marker
                or first != no_extensions
                or channel != own_channel
                or dollar != DOLLAR
                or following > end
                or not data.startswith(prefix, at + RTP_HEADERS_SIZE, following)
            ):
                break
            append(data[at + data_offset : following])
            expected = number + 1 & 0xFFFF
            at = following
        if at > began:
            self._added_fragments(len(self._parts) - before, at - began)
        return at

    def _added_fragments(self, packets: int, size: int) -> None:
        self.sequence.expected = (self.sequence.expected or 0) + packets & 0xFFFF
        self._source.note_own(packets, self.now_ms)
        self._marked = False
        self._arrived_ms = self.now_ms
        self._bytes += size

    def finish(self) -> None:
        """End the stream: the last access unit is kept if its marker came."""
        if self._marked:
            self._end_access_unit()
        self.ready += self._fields.finish()

    def _push_payload(self, data: bytearray, start: int, end: int) -> None:
        types = self.nal_types
        if data.startswith(b"\x00\x00", start, end):
            start = after_start_code(data, start, end)
            if start >= end:
                return
        nal_type = types.type_of(data[start])
        if nal_type == types.fragmentation:
            self._fragmentation_unit(data, start + types.header_size, end)
        elif nal_type == types.aggregation:
            self._aggregation_packet(data, start + types.header_size, end)
        elif nal_type == types.aggregation_with_don:
            # Packets come in decoding order: the number (2 bytes) is not needed.
            self._aggregation_packet(data, start + types.header_size + 2, end)
        elif nal_type == types.paci:
            self._paci_packet(data, start, end)
        elif nal_type in types.unsupported:
            self.empty += 1
            self.units_dropped += 1
        else:
            self._nal_unit(data[start:end], nal_type)

    def _fragmentation_unit(self, data: bytearray, at: int, end: int) -> None:
        """Add a part of a NAL unit (FU-A, FU); its FU header is at `at`."""
        if at >= end:
            return
        fu_header = data[at]
        if fu_header & 0x80:  # start bit
            self._finish_fragments()
            header = self._nal_header(data, at)
            nal_type = self.nal_types.type_of(header[0])
            self._begin_nal_unit(nal_type, data[at + 1 : min(end, at + 1 + _MAX_SLICE_HEADER)])
            self._fu_start = len(self._parts)
            self._parts.append(START_CODE + header)
            # The next fragments begin with this, but for the last: no start bit and no end bit.
            self._fu_prefix = data[at - self.nal_types.header_size : at] + bytes(
                (fu_header & 0x3F,)
            )
        elif self._fu_start is None:
            return  # its first fragment was lost
        self._parts.append(data[at + 1 : end])
        self._bytes += end - at
        if fu_header & 0x40:  # end bit
            self._finish_fragments()

    def _nal_header(self, data: bytearray, at: int) -> bytes:
        """Return the header of the NAL unit whose FU header is at `at`."""
        if self.nal_types.header_size == 1:
            return bytes((data[at - 1] & 0xE0 | data[at] & 0x1F,))
        return bytes((data[at - 2] & 0x81 | (data[at] & 0x3F) << 1, data[at - 1]))

    def _aggregation_packet(self, data: bytearray, at: int, end: int) -> None:
        """Add several NAL units (STAP-A, AP), each after its size of two bytes."""
        while at + 2 < end:
            size = data[at] << 8 | data[at + 1]
            at += 2
            if size and at + size <= end:
                self._nal_unit(data[at : at + size], self.nal_types.type_of(data[at]))
            at += size

    def _paci_packet(self, data: bytearray, start: int, end: int) -> None:
        """Handle the packet within a PACI packet (RFC 7798, 4.4.4), whose extension is left out.

        header(2)   A(1) cType(6) PHSsize(5) flags(4)   PHES(PHSsize)   payload
        """
        fields = int.from_bytes(data[start + 2 : start + 4], "big")
        nal_type = fields >> 9 & 0x3F
        payload_start = start + 4 + (fields >> 4 & 0x1F)
        if payload_start >= end or nal_type == self.nal_types.paci:
            return
        first = fields >> 8 & 0x80 | nal_type << 1 | data[start] & 1
        packet = bytearray((first, data[start + 1])) + data[payload_start:end]
        self._push_payload(packet, 0, len(packet))

    def _nal_unit(self, unit: bytearray, nal_type: int) -> None:
        types = self.nal_types
        if len(unit) <= types.header_size or nal_type in types.skipped:
            return
        self._finish_fragments()
        self._begin_nal_unit(nal_type, unit[types.header_size : _MAX_SLICE_HEADER])
        self._parts += (START_CODE, unit)
        self._bytes += len(unit)
        if nal_type in types.slices:
            self._complete = True
        else:
            self._inspect(bytes(unit))

    def _inspect(self, data: bytes) -> None:
        """Inspect a unit other than a slice. Some cameras send several units as one.

        There are start codes between them: SPS, PPS and IDR picture.
        """
        types = self.nal_types
        for number, unit in enumerate(split_units(data)):
            nal_type = types.type_of(unit[0])
            if nal_type == types.sei and has_recovery_point(unit):
                self._keyframe = True
            if nal_type == types.sps:
                self._learn_fields(unit)
            if number and len(unit) > types.header_size:
                head = bytearray(unit[types.header_size : _MAX_SLICE_HEADER])
                self._begin_nal_unit(nal_type, head)
                self._complete = self._complete or nal_type in types.slices

    def _begin_nal_unit(self, nal_type: int, head: bytearray) -> None:
        """Record a NAL unit's type and its first bytes after the header."""
        types = self.nal_types
        is_slice = nal_type in types.slices
        # The first bit of a slice says whether it is the first slice of its picture.
        starts_picture = head[:1] >= b"\x80" if is_slice else nal_type not in types.suffix
        if starts_picture and self._marked and self._has_slices:
            self._end_access_unit()
        if is_slice:
            if not self._has_slices:
                self._fields.begin_picture(head)
            self._has_slices = True
            self._keyframe = self._keyframe or nal_type in types.irap
        elif nal_type in types.parameter_sets:
            self._has_parameter_sets = True

    def _finish_fragments(self) -> None:
        """End the NAL unit whose fragments arrive.

        Some cameras never set the end bit. No packet is missing, so the unit is whole.
        """
        began = self._fu_start
        if began is None:
            return
        self._fu_start = None
        self._fu_prefix = b""
        nal_type = self.nal_types.type_of(self._parts[began][len(START_CODE)])
        if nal_type in self.nal_types.slices:
            self._complete = True
            return
        unit = b"".join(self._parts[began:])[len(START_CODE) :]
        if nal_type in self.nal_types.skipped and len(split_units(unit)) < 2:
            del self._parts[began:]
        else:
            self._inspect(unit)

    def _drop_fragments(self) -> None:
        """Drop a NAL unit of which a packet was lost; the access unit continues without it."""
        if self._fu_start is not None:
            del self._parts[self._fu_start :]
            self._fu_start = None
            self._fu_prefix = b""
            self.units_dropped += 1

    def _end_access_unit(self) -> None:
        self._finish_fragments()
        if not self._has_slices:
            self.empty += 1
            return  # parameter sets with a timestamp of their own belong to the next access unit
        ticks = self.timestamps.ticks(self._timestamp or 0)
        if self._complete:
            data = b"".join(self._parts)
            self.ready += self._fields.merge(
                AccessUnit(ticks, data, self._keyframe, self._has_parameter_sets, self._arrived_ms)
            )
        else:
            self._fields.skip()
        self._parts.clear()
        self._bytes = 0
        self._has_slices = False
        self._complete = False
        self._keyframe = False
        self._has_parameter_sets = False
        self._marked = False

    def _learn_fields(self, sps: bytes) -> None:
        """Learn from an SPS of H.264 whether coded fields may come."""
        if self.nal_types.name == "h264":
            self._fields.learn(sps)
