"""Sound out of RTP packets: AAC (RFC 3640, its mode AAC-hbr) and G.711 (RFC 3551, 4.5.14)."""

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from edge_bridge.rtsp.errors import UnsupportedStreamError
from edge_bridge.rtsp.rtp import (
    RTP_HEADER_SIZE,
    SequenceTracker,
    TimestampUnwrapper,
    payload,
    unpack_rtp_header,
)
from edge_bridge.rtsp.sdp import MediaDescription

_G711 = {"PCMU": "mulaw", "PCMA": "alaw"}
_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
)  # fmt: skip
_LOW_COMPLEXITY = 2
_LAYOUTS = {1: "mono", 2: "stereo"}
_SAMPLES = 1_024
"""Of an AAC frame."""
_AAC_HBR = {"sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
_ADTS_HEAD = 7
_MOST_ADTS = 8_191
_SILENCE = b"\xd5"


class AudioFrame(NamedTuple):
    """Some sound that passes as one packet."""

    ticks: int
    """Of the stream's own clock, unwrapped, from 0."""
    data: bytes
    duration: int
    """Ticks."""
    arrived_ms: int


class AudioDepacketizer:
    """Of one stream. `take` packets; what is whole stands in `done`, which the caller empties."""

    def __init__(self, media: MediaDescription) -> None:
        """Raises UnsupportedStreamError where the sound is coded in a way that is not read here."""
        self.done: list[AudioFrame] = []
        self.now_ms = 0
        """UTC of what is taken next; kept by the caller."""
        self.sequence = SequenceTracker()
        self.time = TimestampUnwrapper()
        self.clock_hz = media.clock_hz
        self._payload_type = media.payload_type
        self._frames: Callable[[bytes], Sequence[tuple[bytes, int]]]
        if media.coding in _G711:
            channels = max(media.channels, 1)
            self._frames = lambda data: [(data, len(data) // channels)]
            options = {"sample_rate": str(media.clock_hz), "ch_layout": f"{channels}c"}
            self._probe = _probed(_SILENCE * 1_024, _G711[media.coding], options)
        elif media.coding == "MPEG4-GENERIC":
            adts = _Adts(media)
            self._frames = adts.frames
            self._probe = _probed(adts.silence(), "aac", {})
        else:
            raise UnsupportedStreamError(f"its sound is {media.coding}")
        self.stream: AudioStream = self._probe.streams.audio[0]
        """What FFmpeg makes of such sound, in the time base of its own clock."""
        self.time_base = Fraction(1, media.clock_hz)
        self.stream.time_base = self.time_base

    def take(self, data: bytearray, at: int, end: int) -> None:
        """Take the RTP packet that fills data[at:end]."""
        if end - at < RTP_HEADER_SIZE:
            return
        _, second, number, stamp = unpack_rtp_header(data, at)
        start, end = payload(data, at, end)
        if start >= end or second & 0x7F != self._payload_type:
            return
        if number != self.sequence.expected:
            self.sequence.gap(number)
        self.sequence.expected = number + 1 & 0xFFFF
        ticks = self.time.ticks(stamp)
        for frame, duration in self._frames(bytes(data[start:end])):
            self.done.append(AudioFrame(ticks, frame, duration, self.now_ms))
            ticks += duration


class _Adts:
    """Gives each AAC frame the head that MPEG-TS wants (ISO 13818-7, 6.2)."""

    def __init__(self, media: MediaDescription) -> None:
        told = media.format
        if any(told.get(name) != value for name, value in _AAC_HBR.items()):
            raise UnsupportedStreamError("its AAC is packed in an unusual way")
        try:
            config = bytes.fromhex(told.get("config", ""))
        except ValueError:
            config = b""
        if len(config) < 2:
            raise UnsupportedStreamError("it does not tell how its AAC is coded")
        bits = int.from_bytes(config[:2], "big")
        kind, rate, channels = bits >> 11, bits >> 7 & 15, bits >> 3 & 15
        if kind != _LOW_COMPLEXITY or rate >= len(_RATES) or channels not in _LAYOUTS:
            raise UnsupportedStreamError("its AAC is of an unusual kind")
        if _RATES[rate] != media.clock_hz:
            raise UnsupportedStreamError("its AAC has another rate than its clock")
        self._rate, self._layout = _RATES[rate], _LAYOUTS[channels]
        self._bits = 0xFFF1 << 40 | (kind - 1) << 38 | rate << 34 | channels << 30 | 0x7FF << 2

    def silence(self) -> bytes:
        """Return some frames for FFmpeg to look at."""
        frame = av.AudioFrame(format="fltp", layout=self._layout, samples=_SAMPLES)
        frame.sample_rate, frame.pts = self._rate, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        try:
            encoder = av.CodecContext.create("aac", "w")
            encoder.sample_rate, encoder.layout, encoder.format = self._rate, self._layout, "fltp"
            coded = [*encoder.encode(frame), *encoder.encode(None)]
        except (av.FFmpegError, ValueError):
            raise UnsupportedStreamError("its AAC has an unusual rate") from None
        return b"".join(self.head(packet.size) + bytes(packet) for packet in coded)

    def head(self, size: int) -> bytes:
        """Return the head of a frame of so many bytes."""
        return (self._bits | size + _ADTS_HEAD << 13).to_bytes(_ADTS_HEAD, "big")

    def frames(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the frames of an RTP payload; a frame in several packets is left out."""
        bits = int.from_bytes(data[:2], "big")
        at, found = 2 + bits // 8, []
        for place in range(2, min(at, len(data) - 1), 2):
            size = (data[place] << 8 | data[place + 1]) >> 3
            if not size or at + size > len(data) or size + _ADTS_HEAD > _MOST_ADTS:
                break
            found.append((self.head(size) + data[at : at + size], _SAMPLES))
            at += size
        return found


def _probed(data: bytes, form: str, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(io.BytesIO(data), "r", format=form, options=options)
    except (av.FFmpegError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise UnsupportedStreamError(f"its sound is not understood ({said})") from None
