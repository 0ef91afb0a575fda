"""Parameter sets of H.264 (ITU-T H.264, 7.4.1) and H.265 (H.265, 7.4.2) in a picture's bytes."""

_LOOK_BYTES = 2_048
"""Parameter sets stand before the picture's slices, at its very start."""


def find_sps(data: bytes, codec: str) -> bytes | None:
    """Return the first SPS in an access unit in Annex B form, or None where none stands in it.

    `data` may be the beginning only; `codec` is h264 or hevc.
    """
    head = data[:_LOOK_BYTES]
    at = head.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(head):
        following = head.find(b"\x00\x00\x01", at + 3)
        unit = head[at + 3 : following if following >= 0 else len(head)].rstrip(b"\x00")
        if unit:
            kind = unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F
            if kind == (7 if codec == "h264" else 33):
                return unit
            if _is_slice(kind, codec):
                return None
        at = following
    return None


def _is_slice(kind: int, codec: str) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else kind < 32
