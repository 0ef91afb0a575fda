"""RTP packets (RFC 3550): headers, lost packets, timestamps and sender reports."""

from struct import Struct
from typing import NamedTuple

NO_EXTENSIONS = 0x80
"""The usual first byte: version 2; no padding, no extension, no contributing sources."""
RTP_HEADER_SIZE = 12
unpack_rtp_header = Struct(">BBHII").unpack_from
"""Returns the first byte, the second (marker, payload type), sequence number, timestamp, SSRC."""
_SENDER_REPORT = 200
_TIMESTAMP_WRAP = 1 << 32
_NTP_TO_UNIX_S = 2_208_988_800
_MAX_DROPOUT = 3_000
"""Missing sequence numbers; with more, the camera began to count again (RFC 3550, A.1)."""
_CHANGES = ((8, 200), (2, 1_000))
"""Foreign packets, and ms of silence of the own source: with both, the stream changed its SSRC."""
_MAX_REPEATS = 8
"""So many packets in a row with one sequence number show that the camera does not count."""
_MIN_OTHER_PACKETS = 16
"""So many packets in a row with another payload type than the SDP's, and none with it, are it."""
_RTCP_TYPES = range(72, 77)
"""What the type of an RTCP packet gives as a payload type (RFC 3551, 6)."""
_MAX_FOREIGN_PACKETS = 64
_MIN_MAJORITY = 3


def payload(data: bytearray, at: int, end: int) -> tuple[int, int]:
    """Return where the payload of the packet in data[at:end] begins and ends.

    Both are `end` if the packet is not RTP version 2 or is shorter than its header says.
    """
    if end - at < RTP_HEADER_SIZE:
        return end, end
    first = data[at]
    start = at + RTP_HEADER_SIZE
    if first == NO_EXTENSIONS:
        return start, end
    if first >> 6 != 2:
        return end, end
    start += 4 * (first & 15)  # contributing sources
    if first & 0x10 and start + 4 <= end:  # header extension
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    stop = end - data[end - 1] if first & 0x20 else end  # padding
    return (start, stop) if start < stop else (end, end)


class SequenceTracker:
    """Counts the lost packets of a stream. The depacketizer updates `expected`."""

    def __init__(self) -> None:
        self.expected: int | None = None
        """The sequence number of the next packet."""
        self.lost = 0
        self._repeats = (0, 0)
        """A sequence number, and how many packets in a row repeated it."""

    def is_stuck(self, number: int) -> bool:
        """Return whether a packet with the number of the last one is not the same packet again."""
        before, count = self._repeats
        self._repeats = (number, count + 1 if number == before else 1)
        return self._repeats[1] >= _MAX_REPEATS

    def gap(self, number: int) -> bool:
        """Record an unexpected sequence number; return False if it is the first of the stream."""
        if self.expected is None:
            return False
        missing = number - self.expected & 0xFFFF
        if missing < _MAX_DROPOUT:
            self.lost += missing
        return True


class PayloadTypeFilter:
    """Says which payload types are the stream. Some cameras send another one than the SDP says."""

    def __init__(self, sdp_payload_type: int) -> None:
        self.unclaimed = 0
        """Packets with another payload type than the stream's."""
        self._sdp_payload_type = sdp_payload_type
        self._other_packets = (0, 0)
        """Another payload type, and how many packets in a row had it."""

    def accepts(self, payload_type: int, *, has_begun: bool) -> bool:
        """Return whether a packet with another payload type than the present one is the stream's.

        The SDP's own counts as soon as it comes. `has_begun`: the stream had packets.
        """
        if payload_type == self._sdp_payload_type:
            return True
        if has_begun or payload_type in _RTCP_TYPES:
            return False
        self.unclaimed += 1
        before, count = self._other_packets
        count = count + 1 if payload_type == before else 1
        self._other_packets = (payload_type, count)
        return count >= _MIN_OTHER_PACKETS


class SourceFilter:
    """Follows one synchronization source (SSRC) of a stream, and its change to another.

    A camera may send packets of a dead session in the channel of this one. It may also go on with
    another SSRC. So foreign packets wait until it is clear which of both it is:

        own own foreign own ...                  foreign packets are left out
        own own foreign foreign foreign ...      the stream goes on with these
    """

    def __init__(self) -> None:
        self.ssrc: int | None = None
        """The stream's own SSRC."""
        self.waiting: list[bytearray] = []
        self._waiting_ssrc = 0
        self._own_ms = 0
        self._own_packets = 0
        """Packets of the own SSRC since the last foreign one."""
        self._outnumbered = 0
        """How often in a row the foreign packets were far more than the own ones."""

    def own(self, ssrc: int, now_ms: int) -> bool:
        """Return whether a packet belongs to the stream; the first one says what its SSRC is."""
        if self.ssrc is None:
            self.ssrc = ssrc
        if ssrc != self.ssrc:
            return False
        self._own_ms = now_ms
        if self.waiting:
            if self._is_outnumbered():
                return False  # the dead session's packet was the first that came
            self.waiting.clear()
            self._own_packets = 0
        self._own_packets += 1
        return True

    def continues(self, ssrc: int) -> bool:
        """Take another SSRC as the stream's own: its packet has the next sequence number.

        Returns False, and changes nothing, if the SSRC is not another one.
        """
        if ssrc == self.ssrc:
            return False
        self.ssrc = ssrc
        self.waiting.clear()
        self._own_packets = 1
        return True

    def note_own(self, packets: int, now_ms: int) -> None:
        """Count more packets of the own SSRC, while no foreign one waits."""
        self._own_ms = now_ms
        self._own_packets += packets

    def _is_outnumbered(self) -> bool:
        count = len(self.waiting)
        if count < _MIN_MAJORITY or count <= 2 * self._own_packets:
            self._outnumbered = 0
            return False
        self._outnumbered += 1
        return self._outnumbered >= 2

    def foreign(self, ssrc: int, packet: bytearray, now_ms: int) -> list[bytearray]:
        """Keep a packet of another SSRC.

        Returns the packets to handle now, because the stream goes on with this SSRC; mostly none.
        """
        silent_ms = abs(now_ms - self._own_ms)
        packets: list[bytearray] = []
        if ssrc == self.ssrc:  # outnumbered: the others are the stream, and this one is not
            packets = self.waiting
            self.waiting = []
            self._own_packets = len(packets)
            self._outnumbered = 0
            return packets
        if ssrc != self._waiting_ssrc:
            if silent_ms >= _CHANGES[-1][1]:
                packets = self.waiting  # the SSRC changed twice
            self.waiting = []
            self._waiting_ssrc = ssrc
        self.waiting.append(packet)
        count = len(self.waiting)
        changed = any(count >= least and silent_ms >= ms for least, ms in _CHANGES)
        if changed or count >= _MAX_FOREIGN_PACKETS:
            packets = packets + self.waiting
            self.waiting = []
        return packets

    def follow(self, packet: bytearray) -> bool:
        """Take a packet's SSRC as the stream's own; return whether it is another one."""
        before = self.ssrc
        self.ssrc = unpack_rtp_header(packet, 0)[4]
        return self.ssrc != before


class TimestampUnwrapper:
    """Turns the 32-bit RTP timestamps of a stream into ticks that do not wrap, from 0."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ticks = 0

    def ticks(self, rtp_timestamp: int) -> int:
        """Return the ticks of a timestamp: those nearest to the previous timestamp."""
        if self._last is not None:
            self._ticks += self.since_last(rtp_timestamp)
        self._last = rtp_timestamp
        return self._ticks

    def since_last(self, rtp_timestamp: int) -> int:
        """Return the ticks from the previous timestamp to this one; negative if it is earlier."""
        last = rtp_timestamp if self._last is None else self._last
        return (
            rtp_timestamp - last + _TIMESTAMP_WRAP // 2
        ) % _TIMESTAMP_WRAP - _TIMESTAMP_WRAP // 2

    def peek(self, rtp_timestamp: int) -> int:
        """Return the ticks of a timestamp without recording it as the previous one."""
        return self._ticks + self.since_last(rtp_timestamp)


class SenderReport(NamedTuple):
    """The camera's wall clock at one RTP timestamp."""

    utc_us: int
    """By the camera's clock."""
    rtp_timestamp: int


def sender_report(data: bytes) -> SenderReport | None:
    """Return the sender report (RFC 3550, 6.4.1) that starts an RTCP packet, if there is one."""
    if len(data) < 20 or data[0] >> 6 != 2 or data[1] != _SENDER_REPORT:
        return None
    seconds = int.from_bytes(data[8:12], "big")
    fraction = int.from_bytes(data[12:16], "big")
    if not seconds:
        return None  # the sender has no wall clock
    utc_us = (seconds - _NTP_TO_UNIX_S) * 1_000_000 + (fraction * 1_000_000 >> 32)
    return SenderReport(utc_us, int.from_bytes(data[16:20], "big"))
