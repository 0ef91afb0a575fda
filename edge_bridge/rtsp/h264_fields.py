"""Coded fields of interlaced H.264: a frame may be two access units, one for each field.

An SPS says how many bits a frame number has, and whether fields are possible (ITU-T H.264,
7.3.2.1.1). The header of a slice says whether it belongs to a field (7.3.3).
"""

from typing import NamedTuple

from media.access_unit import AccessUnit

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles whose SPS says more about colours."""
_MAX_BYTES = 256


class FieldFormat(NamedTuple):
    """What an SPS says that is needed to read a slice header."""

    frame_number_bits: int
    has_colour_planes: bool


class FieldPicture(NamedTuple):
    """A field picture; two fields of one frame have the same number and different parity."""

    frame_number: int
    is_bottom: bool


class FieldMerger:
    """Makes one access unit of the two coded fields of a frame."""

    def __init__(self) -> None:
        self._sps = b""
        self._format: FieldFormat | None = None
        """How to find coded fields; None: there are none."""
        self._field: FieldPicture | None = None
        """The field that the open access unit belongs to."""
        self._first: tuple[AccessUnit, FieldPicture] | None = None
        """A field that waits for the other one of its frame."""

    @property
    def in_use(self) -> bool:
        """Whether coded fields may come, or one waits."""
        return self._format is not None or self._first is not None

    def learn(self, sps: bytes) -> None:
        """Learn from an SPS whether coded fields may come."""
        if sps != self._sps:
            self._sps = sps
            self._format = field_format(sps)

    def begin_picture(self, head: bytearray) -> None:
        """Record the first slice of an access unit, given its first bytes after the header."""
        if self._format is not None:
            self._field = field_of(bytes(head), self._format)

    def merge(self, unit: AccessUnit) -> tuple[AccessUnit, ...]:
        """Return the access units that are complete, given the next one."""
        field, waiting = self._field, self._first
        self._field = self._first = None
        before: tuple[AccessUnit, ...] = ()
        if waiting is not None:
            first, other = waiting
            if field is not None and field == other._replace(is_bottom=not other.is_bottom):
                return (first._replace(data=first.data + unit.data, arrived_ms=unit.arrived_ms),)
            before = (first,)
        if field is None:
            return (*before, unit)
        self._first = unit, field
        return before

    def skip(self) -> None:
        """Record that the open access unit is not complete."""
        self._field = None

    def finish(self) -> tuple[AccessUnit, ...]:
        """Return the field whose other one does not come any more."""
        waiting = self._first
        self._first = None
        return () if waiting is None else (waiting[0],)


def field_format(sps: bytes) -> FieldFormat | None:
    """Return how to read the slices of an SPS; None if it allows no fields, or is damaged."""
    try:
        return _read_sps(RbspReader(sps[1:]))
    except IndexError:
        return None


def field_of(slice_data: bytes, form: FieldFormat) -> FieldPicture | None:
    """Return the field that a slice belongs to, given its first bytes after the NAL unit header.

    None: it belongs to a frame.
    """
    bits = RbspReader(slice_data)
    try:
        for _ in range(3):  # first macroblock, slice type, PPS
            bits.golomb()
        if form.has_colour_planes:
            bits.read(2)
        frame_number = bits.read(form.frame_number_bits)
        return FieldPicture(frame_number, bool(bits.read(1))) if bits.read(1) else None
    except IndexError:
        return None


def _read_sps(bits: "RbspReader") -> FieldFormat | None:
    profile = bits.read(8)
    bits.read(16)
    bits.golomb()
    has_colour_planes = False
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        has_colour_planes = chroma == 3 and bool(bits.read(1))
        bits.golomb()
        bits.golomb()
        bits.read(1)
        if bits.read(1):
            for number in range(12 if chroma == 3 else 8):
                if bits.read(1):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    frame_number_bits = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.read(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    bits.read(1)
    bits.golomb()
    bits.golomb()
    only_frames = bits.read(1)
    return (
        None
        if only_frames or frame_number_bits > 16
        else FieldFormat(frame_number_bits, has_colour_planes)
    )


def _skip_scaling_list(bits: "RbspReader", size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            delta = (code + 1) // 2 if code & 1 else -(code // 2)
            following = (last + delta) % 256
        last = following or last


class RbspReader:
    """Reads bits without the emulation prevention bytes (7.3.1); IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        data = bytes(data[:_MAX_BYTES]).replace(b"\x00\x00\x03", b"\x00\x00")
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def read(self, count: int) -> int:
        """Return a number of so many bits."""
        at = self._at
        self._at += count
        if self._at > len(self._bits):
            raise IndexError
        return int(self._bits[at : self._at] or "0", 2)

    def golomb(self) -> int:
        """Return an Exp-Golomb number (9.1)."""
        one = self._bits.find("1", self._at)
        if one < 0:
            raise IndexError
        zeros = one - self._at
        self._at = one
        return self.read(zeros + 1) - 1
