"""What taking pictures out of RTP needs to know of H.264 (RFC 6184) and H.265 (RFC 7798)."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

START = b"\x00\x00\x00\x01"
_RECOVERY_POINT = 6
_MOST_SETS = 64 << 10


@dataclass(frozen=True, slots=True)
class NalTypes:
    """The kinds of NAL units of one coding, and of RTP's own that carry them."""

    name: str
    """As FFmpeg names the coding."""
    head: int
    """Bytes of a NAL unit's head."""
    together: int
    """Several units in one packet."""
    pieces: int
    """One unit in several packets."""
    most: int
    """The last kind that is the coding's own; those above are RTP's."""
    slices: frozenset[int]
    keys: frozenset[int]
    sps: int
    remarks: int
    """SEI that comes before the picture; may tell of a point to begin at."""
    ended: frozenset[int]
    """Kinds that come after a picture's slices and still belong to it."""

    def of(self, first: int) -> int:
        """Return the kind that a NAL unit's first byte tells."""
        return first & 0x1F if self.head == 1 else first >> 1 & 0x3F


H264 = NalTypes(
    name="h264",
    head=1,
    together=24,
    pieces=28,
    most=23,
    slices=frozenset(range(1, 6)),
    keys=frozenset({5}),
    sps=7,
    remarks=6,
    ended=frozenset({10, 11, 12, 19, 20, 21}),
)
H265 = NalTypes(
    name="hevc",
    head=2,
    together=48,
    pieces=49,
    most=47,
    slices=frozenset(range(32)),
    keys=frozenset(range(16, 24)),
    sps=33,
    remarks=-1,
    ended=frozenset({36, 37, 38, 40}),
)
NAL_TYPES = {"H264": H264, "H265": H265}


def parameter_sets(told: Mapping[str, str]) -> bytes:
    """Return the parameter sets that an SDP tells, in Annex B form; empty where it tells none."""
    names = ("sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps")
    sets = b""
    for encoded in ",".join(told.get(name, "") for name in names).split(","):
        try:
            unit = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if unit and len(sets) < _MOST_SETS:
            sets += START + unit
    return sets


def has_recovery_point(unit: bytes) -> bool:
    """Whether an SEI unit of H.264 tells that decoding can begin here (H.264, D.1.8)."""
    return any(kind == _RECOVERY_POINT for kind in _remarks(unit))


def _remarks(unit: bytes) -> Iterator[int]:
    at = 1
    while at + 2 < len(unit):
        kind, at = _number(unit, at)
        size, at = _number(unit, at)
        yield kind
        at += size


def _number(unit: bytes, at: int) -> tuple[int, int]:
    number = 0
    while at < len(unit) and unit[at] == 0xFF:
        number, at = number + 255, at + 1
    return number + (unit[at] if at < len(unit) else 0), at + 1
