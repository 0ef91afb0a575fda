"""RTP as cameras send it, for the tests of the depacketizers."""

import random
from collections.abc import Iterable, Iterator, Sequence

from edge_bridge.rtsp.nal import START_CODE
from edge_bridge.rtsp.sdp import MediaDescription
from tests.rtsp_camera import Packet, interleaved, rtp

PAYLOAD_TYPE = 96


def video(coding: str = "H264", **fmtp: str) -> MediaDescription:
    """Return the media description of video."""
    fmtp = {name.replace("_", "-"): value for name, value in fmtp.items()}
    return MediaDescription("video", PAYLOAD_TYPE, coding, 90_000, 1, fmtp, "rtsp://camera/video")


def audio(coding: str, clock_hz: int, **fmtp: str) -> MediaDescription:
    """Return the media description of audio."""
    return MediaDescription("audio", PAYLOAD_TYPE, coding, clock_hz, 1, fmtp, "rtsp://camera/audio")


def packets(sent: Iterable[Packet], first: int = 65_530) -> list[bytes]:
    """Return packets as bytes, numbered from `first`, which runs over soon."""
    return [rtp(PAYLOAD_TYPE, first + number, packet) for number, packet in enumerate(sent)]


def in_fragments(unit: bytes, coding: str, most: int) -> Iterator[bytes]:
    """Yield a NAL unit as FU-A units of H.264, or as FUs of H.265, of `most` bytes each."""
    if coding == "H264":
        head, kind, body = bytes([unit[0] & 0xE0 | 28]), unit[0] & 31, unit[1:]
    else:
        head, kind, body = bytes([unit[0] & 0x81 | 49 << 1, unit[1]]), unit[0] >> 1 & 63, unit[2:]
    for at in range(0, len(body), most):
        fu_header = kind | (at == 0) << 7 | (at + most >= len(body)) << 6
        yield head + bytes([fu_header]) + body[at : at + most]


def aggregated(units: Sequence[bytes], coding: str) -> bytes:
    """Return NAL units in one packet: STAP-A of H.264, AP of H.265."""
    head = bytes([24]) if coding == "H264" else bytes([48 << 1, 1])
    return head + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


def annex_b(units: Iterable[bytes]) -> bytes:
    """Return NAL units as one access unit."""
    return b"".join(START_CODE + unit for unit in units)


def cut(data: bytes, chance: random.Random, most: int = 3_000) -> Iterator[bytes]:
    """Yield bytes in random pieces, as a connection does."""
    at = 0
    while at < len(data):
        size = chance.randrange(1, most)
        yield data[at : at + size]
        at += size


def on_channel(channel: int, sent: Iterable[bytes]) -> bytes:
    """Return packets interleaved in the RTSP connection."""
    return b"".join(interleaved(channel, data) for data in sent)
