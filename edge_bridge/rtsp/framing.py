"""A packet in RTSP's own connection (RFC 2326, 10.12): sign, channel, length, packet."""

from struct import Struct

SIGN = 0x24
HEAD = 4
head_of = Struct(">BBH").unpack_from
"""Returns sign, channel and length of the frame at a place."""
HEADS = 16
"""Bytes of a frame's head and the plainest RTP head behind it."""
heads_of = Struct(">BBHBBHI").unpack_from
"""Returns sign, channel, length, and RTP's first byte, second byte, number and time stamp."""
