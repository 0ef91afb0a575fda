"""RTP packets (RFC 3550): where their payload lies, which are missing, and what time they tell."""

from struct import Struct
from typing import NamedTuple

NO_EXTENSIONS = 0x80
"""The first byte of nearly all packets: version 2, no padding, extension nor contributors."""
RTP_HEADER_SIZE = 12
unpack_rtp_header = Struct(">BBHI").unpack_from
"""Returns a packet's first byte, its second (marker, payload type), its number and time stamp."""
_SENDER_REPORT = 200
_WRAP = 1 << 32
_NTP_TO_UNIX_S = 2_208_988_800


def payload(data: bytearray, at: int, end: int) -> tuple[int, int]:
    """Return where the payload of the packet that fills data[at:end] begins and ends.

    Both are `end` where the packet is none of RTP's version 2 or is shorter than it says.
    """
    if end - at < RTP_HEADER_SIZE:
        return end, end
    first = data[at]
    start = at + RTP_HEADER_SIZE
    if first == NO_EXTENSIONS:
        return start, end
    if first >> 6 != 2:
        return end, end
    start += 4 * (first & 15)
    if first & 0x10 and start + 4 <= end:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    stop = end - data[end - 1] if first & 0x20 else end
    return (start, stop) if start < stop else (end, end)


class SequenceTracker:
    """Counts a stream's packets that never came. The taker of packets keeps `expected`."""

    def __init__(self) -> None:
        self.expected: int | None = None
        """The next packet's number."""
        self.lost = 0

    def gap(self, number: int) -> bool:
        """Note that another number than the expected one came; False: it is the first of all."""
        if self.expected is None:
            return False
        missing = number - self.expected & 0xFFFF
        if missing < 0x8000:
            self.lost += missing
        return True


class TimestampUnwrapper:
    """A stream's 32-bit time stamps as ticks that go on, from 0."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._ticks = 0

    def ticks(self, stamp: int) -> int:
        """Return the ticks of a stamp; it counts as the one that is nearest to the last."""
        if self._last is not None:
            self._ticks += self.since_last(stamp)
        self._last = stamp
        return self._ticks

    def since_last(self, stamp: int) -> int:
        """Return how far a stamp is from the last one, in ticks; below 0 where it is before it."""
        last = stamp if self._last is None else self._last
        return (stamp - last + _WRAP // 2) % _WRAP - _WRAP // 2

    def near(self, stamp: int) -> int:
        """Return the ticks of a stamp without taking it for the last one."""
        return self._ticks + self.since_last(stamp)


class SenderReport(NamedTuple):
    """What a sender says of its time."""

    utc_us: int
    """By the camera's clock."""
    stamp: int
    """RTP's time stamp of the same moment."""


def sender_report(data: bytes) -> SenderReport | None:
    """Return the sender report (RFC 3550, 6.4.1) that an RTCP packet begins with, if it does."""
    if len(data) < 20 or data[0] >> 6 != 2 or data[1] != _SENDER_REPORT:
        return None
    seconds, fraction = int.from_bytes(data[8:12], "big"), int.from_bytes(data[12:16], "big")
    if not seconds:
        return None  # a sender without a clock
    utc_us = (seconds - _NTP_TO_UNIX_S) * 1_000_000 + (fraction * 1_000_000 >> 32)
    return SenderReport(utc_us, int.from_bytes(data[16:20], "big"))
