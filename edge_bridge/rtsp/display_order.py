"""Whether frames may be shown in another order than they come: then their times cannot be known.

A timestamp that goes back has two causes. The frame may be a B-frame. Or the camera's clock was set
back by a little, and the stream can be read as before.
"""

from edge_bridge.rtsp.h264_fields import RbspReader
from edge_bridge.rtsp.nal import NalTypes, split_units

_MAX_HEAD = 4 << 10
_MAX_SLICE_HEADER = 16
_H264_BASELINE = 66


def may_be_b_frame(access_unit: bytes, sps: bytes, types: NalTypes) -> bool:
    """Return whether an access unit may be shown before one that came earlier.

    `sps`: the stream's, with its NAL unit header. In H.264 the slice's type says it; in H.265,
    where all slices may be B slices, the SPS does.
    """
    try:
        if types.name == "hevc":
            return _may_reorder(RbspReader(sps[types.header_size :]))
        if sps[1:2] == bytes((_H264_BASELINE,)):
            return False
        for unit in split_units(access_unit[:_MAX_HEAD]):
            if types.type_of(unit[0]) in types.slices:
                bits = RbspReader(unit[types.header_size : _MAX_SLICE_HEADER])
                bits.golomb()  # first macroblock
                return bits.golomb() % 5 == 1
    except IndexError:
        pass
    return True


def _may_reorder(bits: RbspReader) -> bool:
    """Return whether an SPS of H.265 (7.3.2.2.1) allows access units to be reordered."""
    bits.read(4)
    sub_layers = bits.read(3) + 1
    bits.read(1)
    _skip_profile_tier_level(bits, sub_layers)
    bits.golomb()
    if bits.golomb() == 3:
        bits.read(1)
    bits.golomb()
    bits.golomb()
    if bits.read(1):
        for _ in range(4):
            bits.golomb()
    for _ in range(3):
        bits.golomb()
    all_sub_layers = bits.read(1)
    reordered = 0
    for _ in range(sub_layers if all_sub_layers else 1):
        bits.golomb()
        reordered = bits.golomb()
        bits.golomb()
    return reordered > 0


def _skip_profile_tier_level(bits: RbspReader, sub_layers: int) -> None:
    """Skip profile_tier_level (H.265, 7.3.3)."""
    bits.read(88)
    bits.read(8)
    present = [(bits.read(1), bits.read(1)) for _ in range(sub_layers - 1)]
    if present:
        bits.read(2 * (8 - len(present)))
    for has_profile, has_level in present:
        bits.read(88 * has_profile)
        bits.read(8 * has_level)
