"""Reads and renumbers MPEG-TS packets (ISO/IEC 13818-1), as far as Vigil needs it.

A transport stream is packets of 188 bytes. Each carries a PID; packets of one PID with payload
count up in a 4-bit continuity counter. Video and audio frames are PES packets whose first TS packet
has the payload unit start indicator (PUSI); PAT and PMT say which PID is what.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from domain.errors import MediaError

PACKET = 188
SYNC = 0x47
PAT_PID = 0
NULL_PID = 0x1FFF
PTS_WRAP = 1 << 33

STREAM_TYPES = {
    0x1B: "h264",
    0x24: "hevc",
    0x0F: "aac",
    0x11: "aac",
    0x03: "mp3",
    0x04: "mp2",
    0x81: "ac3",
    0x87: "eac3",
}
"""stream_type of the PMT (13818-1, table 2-34; 0x8x by ATSC A/53) to codec name."""


@dataclass(frozen=True, slots=True)
class TsPacket:
    """One packet's header and payload."""

    offset: int
    """Bytes from the start of the data."""
    pid: int
    starts: bool
    """PUSI: a PES packet or section begins here."""
    counter: int
    has_payload: bool
    random_access: bool
    discontinuity: bool
    pcr: int | None
    """Program clock reference in ticks of 27 MHz."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pes:
    """The header of one PES packet."""

    pts: int | None
    """33 bits, 90 kHz."""
    dts: int | None
    """33 bits, 90 kHz; the PTS if the packet has no DTS."""


def pid_of(packet: bytes | memoryview, at: int = 0) -> int:
    """Return the PID of the packet that starts at byte `at`."""
    return (packet[at + 1] & 0x1F) << 8 | packet[at + 2]


def with_counter(packet: bytes, counter: int) -> bytes:
    """Return a packet with another continuity counter."""
    return packet[:3] + bytes((packet[3] & 0xF0 | counter & 0x0F,)) + packet[4:]


def packets(data: bytes) -> Iterator[TsPacket]:
    """Yield all packets; raises MediaError if `data` is not a whole transport stream."""
    check_whole(data)
    for at in range(0, len(data), PACKET):
        yield packet(data, at)


def check_whole(data: bytes | memoryview) -> None:
    """Raise MediaError if `data` is empty or ends inside a packet."""
    if not data or len(data) % PACKET:
        raise MediaError(
            f"{len(data)} bytes are not a whole transport stream: the file is empty or cut short."
        )


def packet(data: bytes | memoryview, at: int) -> TsPacket:
    """Return the packet that starts at byte `at`; raises MediaError if it is damaged."""
    if data[at] != SYNC:
        raise MediaError(f"no transport stream packet at byte {at}: the file is damaged.")
    flags = data[at + 3]
    body = at + 4
    random_access = discontinuity = False
    pcr = None
    if flags & 0x20:
        length = data[body]
        if length > PACKET - 5:
            raise MediaError(f"bad adaptation field at byte {at}: the file is damaged.")
        if length:
            field = data[body + 1]
            discontinuity, random_access = bool(field & 0x80), bool(field & 0x40)
            if field & 0x10 and length >= 7:
                raw = int.from_bytes(data[body + 2 : body + 8], "big")
                pcr = (raw >> 15) * 300 + (raw & 0x1FF)
        body += 1 + length
    return TsPacket(
        offset=at,
        pid=pid_of(data, at),
        starts=bool(data[at + 1] & 0x40),
        counter=flags & 0x0F,
        has_payload=bool(flags & 0x10),
        random_access=random_access,
        discontinuity=discontinuity,
        pcr=pcr,
        payload=bytes(data[body : at + PACKET]) if flags & 0x10 else b"",
    )


def pes(payload: bytes) -> Pes:
    """Return the times in the header of a PES packet; raises MediaError if it is not one."""
    if payload[:3] != b"\x00\x00\x01" or len(payload) < 9:
        raise MediaError("a PES packet does not begin as one: the file is damaged.")
    flags = payload[7] >> 6
    pts = _time(payload[9:14]) if flags & 2 else None
    dts = _time(payload[14:19]) if flags == 3 else pts
    return Pes(pts, dts)


def _time(field: bytes) -> int:
    if len(field) < 5:
        raise MediaError("a PES packet's time stamp is cut short: the file is damaged.")
    return (
        (field[0] >> 1 & 7) << 30
        | field[1] << 22
        | (field[2] >> 1) << 15
        | field[3] << 7
        | field[4] >> 1
    )


def pmt_pid(pat_payload: bytes) -> int:
    """Return the PID of the first program's PMT from a PAT packet's payload."""
    at = 1 + pat_payload[0] + 8
    end = 1 + pat_payload[0] + 3 + _section_length(pat_payload) - 4
    while at + 4 <= end:
        if pat_payload[at] << 8 | pat_payload[at + 1]:
            return (pat_payload[at + 2] & 0x1F) << 8 | pat_payload[at + 3]
        at += 4
    raise MediaError("the PAT lists no program: the file is damaged.")


def streams(pmt_payload: bytes) -> dict[int, str]:
    """Return PID -> codec name (or `0x..` of an unknown type) from a PMT packet's payload."""
    start = 1 + pmt_payload[0]
    end = start + 3 + _section_length(pmt_payload) - 4
    at = start + 12 + ((pmt_payload[start + 10] & 0x0F) << 8 | pmt_payload[start + 11])
    found: dict[int, str] = {}
    while at + 5 <= end:
        stream_type = pmt_payload[at]
        pid = (pmt_payload[at + 1] & 0x1F) << 8 | pmt_payload[at + 2]
        found[pid] = STREAM_TYPES.get(stream_type, f"0x{stream_type:02x}")
        at += 5 + ((pmt_payload[at + 3] & 0x0F) << 8 | pmt_payload[at + 4])
    return found


def _section_length(payload: bytes) -> int:
    start = 1 + payload[0]
    length = (payload[start + 1] & 0x0F) << 8 | payload[start + 2]
    if start + 3 + length > len(payload):
        raise MediaError("a PAT or PMT is longer than its packet: the file is damaged.")
    return length


def unwrap(value: int, near: int) -> int:
    """Return the unwrapped time whose low 33 bits are `value` and which is closest to `near`."""
    base = near - (near % PTS_WRAP) + value % PTS_WRAP
    return min((base - PTS_WRAP, base, base + PTS_WRAP), key=lambda time: abs(time - near))
