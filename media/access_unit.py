"""A frame as the RTSP client gives it: the light form of a packet.

A packet of FFmpeg costs more to make than all that recording does with a frame. So only FFmpeg's
muxer gets one, and local inference takes the bytes.
"""

from typing import NamedTuple


class AccessUnit(NamedTuple):
    """The NAL units of one picture, in Annex B form. Frames come in display order."""

    ticks: int
    """90 kHz, unwrapped, from 0."""
    data: bytes
    keyframe: bool
    has_parameter_sets: bool
    """Whether a parameter set is in it."""
    arrived_ms: int
    """UTC of the last packet's arrival."""
