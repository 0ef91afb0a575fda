"""Odd cameras that must be recorded nevertheless: bad SDP, times that jump, wrong audio."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import av
import numpy as np

from tests.rtsp_camera import H264, Packet, RtspCamera, Track, parameter_sets, pictures

H265 = "m=video 0 RTP/AVP {pt}\na=rtpmap:{pt} H265/90000"
PCMA = "m=audio 0 RTP/AVP {pt}\na=rtpmap:{pt} PCMA/8000"
AAC = (
    "m=audio 0 RTP/AVP {{pt}}\na=rtpmap:{{pt}} mpeg4-generic/{rate}\na=fmtp:{{pt}} streamtype=5;"
    "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3{config}"
)
HOUR = 3_600 * 90_000


def camera(sdp: str, sent: Callable[[], Iterable[Packet]], *more: Track) -> RtspCamera:
    """Return a camera of one track of pictures, and others."""
    return RtspCamera([Track(sdp, sent), *more])


def jumping(clip: Path, by: int, at: int) -> RtspCamera:
    """Return a camera whose time jumps by so many ticks at a picture."""
    return camera(
        H264, lambda: pictures(clip, ticks=lambda n: HOUR + n * 3_600 + (by if n >= at else 0))
    )


class Changing(RtspCamera):
    """Starts with one clip and continues with another in the middle of it."""

    def __init__(self, first: Path, then: Path, at: int) -> None:
        self._first, self._then, self._at = first, then, at
        self._changed = False
        super().__init__([Track(H264, self._sent)])

    def _sent(self) -> Iterator[Packet]:
        if not self._changed:
            yield from pictures(self._first, most=self._at)
            self._changed = True
            then = pictures(self._then, begin_s=self._at / 25)
            for packet in then:
                yield packet._replace(ticks=packet.ticks + self._at * 3_600)
        else:
            yield from pictures(self._then)


def other_vps(clip: Path, with_vps_of: Path, at: int) -> Iterator[Packet]:
    """Yield H.265 whose VPS, and nothing else, is another's from a picture on."""
    mine, other = parameter_sets(clip)[0], parameter_sets(with_vps_of)[0]
    assert mine != other and mine[0] >> 1 & 63 == other[0] >> 1 & 63 == 32
    for packet in pictures(clip):
        changed = packet.payload == mine and packet.ticks >= at * 3_600
        yield packet._replace(payload=other) if changed else packet


def alaw(seconds: float, *, from_s: float = 0) -> Track:
    """Return G.711 in pieces of 40 ms: a tone."""

    def sent() -> Iterator[Packet]:
        for number in range(int(from_s * 25), int(seconds * 25)):
            yield Packet(number * 0.04, number * 320, True, bytes([0xD5, 0x55] * 160))

    return Track(PCMA, sent, pt=8)


def aac(seconds: float, config: str, rate: str = "48000/1") -> Track:
    """Return AAC of 48 kHz mono; `config` is what the SDP says about it, true or not."""
    frames = _aac_frames(seconds)

    def sent() -> Iterator[Packet]:
        for number, frame in enumerate(frames):
            head = (16).to_bytes(2, "big") + (len(frame) << 3).to_bytes(2, "big")
            yield Packet(number * 1_024 / 48_000, number * 1_024, True, head + frame)

    return Track(AAC.format(rate=rate, config=config), sent, pt=97)


def _aac_frames(seconds: float) -> list[bytes]:
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "fltp"
    out = []
    for number in range(int(seconds * 48_000 / 1_024)):
        at = np.arange(number * 1_024, (number + 1) * 1_024)
        wave = np.sin(at * (2 * np.pi * 440 / 48_000)).astype(np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48_000, number * 1_024
        out.append(encoder.encode(frame))
    return [bytes(packet) for packet in chain.from_iterable(out)]
