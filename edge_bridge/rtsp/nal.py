"""NAL unit types of H.264 (RFC 6184, ITU-T H.264) and H.265 (RFC 7798, ITU-T H.265)."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from media import native

START_CODE = b"\x00\x00\x00\x01"
_SEI_RECOVERY_POINT = 6
_MAX_PARAMETER_SETS = 64 << 10
_MAX_HEAD = 4 << 10
"""Parameter sets are within so many bytes of an access unit."""


@dataclass(frozen=True, slots=True)
class NalTypes:
    """The NAL unit types of one codec, and the payload structures that RTP adds to them."""

    name: str
    """The codec as FFmpeg names it."""
    header_size: int
    """Bytes of the NAL unit header."""
    aggregation: int
    """Aggregation packet, several NAL units in one packet: STAP-A (H.264), AP (H.265)."""
    fragmentation: int
    """Fragmentation unit, one NAL unit in several packets: FU-A (H.264), FU (H.265)."""
    skipped: frozenset[int]
    """Types that no standard defines, or only reserves: cameras use them for data of their own."""
    unsupported: frozenset[int]
    """Payload structures that are left out: MTAP16, MTAP24, FU-B (H.264)."""
    aggregation_with_don: int
    """STAP-B (H.264): an aggregation packet with a decoding order number; -1: none."""
    paci: int
    """PACI (H.265): a packet with an extension before its payload; -1: none."""
    parameter_sets: frozenset[int]
    """SPS and PPS; VPS (H.265)."""
    slices: frozenset[int]
    """Coded slices (VCL NAL units)."""
    irap: frozenset[int]
    """Slices of a picture at which decoding can start: IDR (H.264), IRAP (H.265)."""
    sps: int
    pps: int
    sei: int
    """SEI before the picture, which may hold a recovery point; -1: not read."""
    suffix: frozenset[int]
    """Types that follow the slices of an access unit and still belong to it."""
    others: frozenset[int]
    """Types that do not matter to recording: access unit delimiters, filler data, SEI."""

    def type_of(self, first: int) -> int:
        """Return the type that the first byte of a NAL unit header holds."""
        return first & 0x1F if self.header_size == 1 else first >> 1 & 0x3F

    def scanner(self, channel: int) -> "native.AccessUnitScanner":
        """Return a scanner of the extension for the packets of a channel."""
        return native.AccessUnitScanner(
            channel,
            self.header_size,
            self.fragmentation,
            _bits(self.slices),
            _bits(self.irap),
            _bits(self.others),
            _bits(self.skipped),
            self.sei if self.sei >= 0 else None,
        )


def _bits(types: frozenset[int]) -> int:
    return sum(1 << nal_type for nal_type in types)


H264 = NalTypes(
    name="h264",
    header_size=1,
    aggregation=24,
    fragmentation=28,
    skipped=frozenset({0, 16, 17, 18, 22, 23, 30, 31}),
    unsupported=frozenset({26, 27, 29}),
    aggregation_with_don=25,
    paci=-1,
    parameter_sets=frozenset({7, 8, 13, 15}),
    slices=frozenset(range(1, 6)),
    irap=frozenset({5}),
    sps=7,
    pps=8,
    sei=6,
    suffix=frozenset({10, 11, 12, 19, 20, 21}),
    others=frozenset({6, 9, 12}),
)
H265 = NalTypes(
    name="hevc",
    header_size=2,
    aggregation=48,
    fragmentation=49,
    skipped=frozenset({*range(10, 16), *range(22, 32), *range(41, 48), *range(51, 64)}),
    unsupported=frozenset(),
    aggregation_with_don=-1,
    paci=50,
    parameter_sets=frozenset({32, 33, 34}),
    slices=frozenset({*range(10), *range(16, 22)}),
    irap=frozenset(range(16, 22)),
    sps=33,
    pps=34,
    sei=-1,
    suffix=frozenset({36, 37, 38, 40}),
    others=frozenset({35, 38, 39, 40}),
)
NAL_TYPES = {"H264": H264, "H265": H265}
"""By the encoding name of the SDP."""


def parameter_sets(fmtp: Mapping[str, str], types: NalTypes) -> bytes:
    """Return the parameter sets of an SDP in Annex B form; empty if it holds none.

    Some cameras leave out base64's padding, put start codes into it, or add other units.
    """
    names = ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps")
    sets = b""
    for encoded in ",".join(fmtp.get(name, "") for name in names).split(","):
        text = encoded.strip().rstrip("=")
        try:
            units = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        for unit in split_units(units):
            is_set = types.type_of(unit[0]) in types.parameter_sets
            if is_set and len(unit) > types.header_size and len(sets) < _MAX_PARAMETER_SETS:
                sets += START_CODE + unit
    return sets


def split_units(data: bytes | bytearray) -> list[bytes]:
    """Return the NAL units in bytes with start codes between them, or the one unit without any."""
    units = (unit.rstrip(b"\x00") for unit in bytes(data).split(b"\x00\x00\x01"))
    return [unit for unit in units if unit]


def own_parameter_sets(access_unit: bytes, types: NalTypes) -> bytes:
    """Return the parameter sets before an access unit's first slice, in Annex B form."""
    sets = b""
    head = access_unit[:_MAX_HEAD]
    for unit in split_units(head):
        nal_type = types.type_of(unit[0])
        if nal_type in types.slices:
            break
        if nal_type in types.parameter_sets:
            sets += START_CODE + unit
    return sets


def has_recovery_point(unit: bytes) -> bool:
    """Return whether an SEI unit of H.264 says that decoding can start here (H.264, D.1.8)."""
    return any(payload_type == _SEI_RECOVERY_POINT for payload_type in _sei_payload_types(unit))


def _sei_payload_types(unit: bytes) -> Iterator[int]:
    offset = 1
    while offset + 2 < len(unit):
        payload_type, offset = _sei_number(unit, offset)
        size, offset = _sei_number(unit, offset)
        yield payload_type
        offset += size


def _sei_number(unit: bytes, offset: int) -> tuple[int, int]:
    """Return a number of an SEI message (H.264, 7.3.2.3.1) and the offset after it."""
    number = 0
    while offset < len(unit) and unit[offset] == 0xFF:
        number += 255
        offset += 1
    return number + (unit[offset] if offset < len(unit) else 0), offset + 1


def after_start_code(data: bytearray, start: int, end: int) -> int:
    """Return where a NAL unit begins that has a start code of its own, against the RFC."""
    at = start
    while at < end and not data[at]:
        at += 1
    return at + 1 if at - start >= 2 and at < end and data[at] == 1 else start
