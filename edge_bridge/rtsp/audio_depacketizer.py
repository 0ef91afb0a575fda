"""Depacketizer of audio: AAC (RFC 3640, mode AAC-hbr) and G.711 (RFC 3551, 4.5.14)."""

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
    SourceFilter,
    TimestampUnwrapper,
    payload,
    unpack_rtp_header,
)
from edge_bridge.rtsp.sdp import MediaDescription

_G711 = {"PCMU": "mulaw", "PCMA": "alaw"}
_AAC_SAMPLE_RATES = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
)  # fmt: skip
"""By sampling frequency index (ISO 14496-3, 1.6.3.4)."""
_AAC_LC = 2
"""Audio object type."""
_LAYOUTS = {1: "mono", 2: "stereo"}
_SAMPLES_PER_AAC_FRAME = 1_024
_AAC_HBR = {"sizelength": "13", "indexlength": "3", "indexdeltalength": "3"}
_ADTS_HEADER_SIZE = 7
_MAX_ADTS_FRAME = 8_191
_ALAW_SILENCE = b"\xd5"


class AudioFrame(NamedTuple):
    """Encoded audio that becomes one packet."""

    ticks: int
    """Of the stream's clock, unwrapped, from 0."""
    data: bytes
    duration: int
    """Ticks."""
    arrived_ms: int


class AudioDepacketizer:
    """Depacketizes one stream. `push` packets; the caller takes frames from `ready`."""

    def __init__(self, media: MediaDescription) -> None:
        """Raises UnsupportedStreamError if the encoding is not supported."""
        self.ready: list[AudioFrame] = []
        """The complete frames. The caller empties it."""
        self.now_ms = 0
        """UTC of the next packet's arrival; the caller sets it."""
        self.sequence = SequenceTracker()
        self.timestamps = TimestampUnwrapper()
        self.clock_hz = media.clock_hz
        self._payload_type = media.payload_type
        self._source = SourceFilter()
        self._split: Callable[[bytes], Sequence[tuple[bytes, int]]]
        """Splits an RTP payload into frames and their durations."""
        if media.encoding in _G711:
            channels = max(media.channels, 1)
            self._split = lambda data: [(data, len(data) // channels)]
            options = {"sample_rate": str(media.clock_hz), "ch_layout": f"{channels}c"}
            self._probe = _probe(_ALAW_SILENCE * 1_024, _G711[media.encoding], options)
        elif media.encoding == "MPEG4-GENERIC":
            adts = _AdtsFramer(media)
            self._split = adts.split
            self._probe = _probe(adts.silence(), "aac", {})
        else:
            raise UnsupportedStreamError(f"its audio is {media.encoding}")
        self.stream: AudioStream = self._probe.streams.audio[0]
        """The stream as FFmpeg sees it, in the time base of its own clock."""
        self.time_base = Fraction(1, media.clock_hz)
        self.stream.time_base = self.time_base

    def push(self, data: bytearray, at: int, end: int) -> None:
        """Depacketize the RTP packet in data[at:end]."""
        if end - at < RTP_HEADER_SIZE:
            return
        _, second, number, timestamp, ssrc = unpack_rtp_header(data, at)
        start, stop = payload(data, at, end)
        if start >= stop or second & 0x7F != self._payload_type:
            return
        if not self._source.own(ssrc, self.now_ms) and not (
            number == self.sequence.expected and self._source.continues(ssrc)
        ):
            for one in self._source.foreign(ssrc, data[at:end], self.now_ms):
                if self._source.follow(one):
                    self.sequence.expected = None  # its numbers are new: nothing is lost
                self.push(one, 0, len(one))
            return
        end = stop
        if number != self.sequence.expected:
            self.sequence.gap(number)
        self.sequence.expected = number + 1 & 0xFFFF
        ticks = self.timestamps.ticks(timestamp)
        for frame, duration in self._split(bytes(data[start:end])):
            self.ready.append(AudioFrame(ticks, frame, duration, self.now_ms))
            ticks += duration


class _AdtsFramer:
    """Adds the ADTS header that MPEG-TS needs to each AAC frame (ISO 13818-7, 6.2)."""

    def __init__(self, media: MediaDescription) -> None:
        fmtp = media.fmtp
        if any(fmtp.get(name) != value for name, value in _AAC_HBR.items()):
            raise UnsupportedStreamError("its AAC is not packed in mode AAC-hbr")
        try:
            config = bytes.fromhex(fmtp.get("config", ""))
        except ValueError:
            config = b""
        if len(config) < 2:
            raise UnsupportedStreamError("its SDP does not say how the AAC is encoded")
        # AudioSpecificConfig (ISO 14496-3, 1.6.2.1)
        bits = int.from_bytes(config[:2], "big")
        object_type = bits >> 11
        rate_index = bits >> 7 & 15
        channels = bits >> 3 & 15
        known = rate_index < len(_AAC_SAMPLE_RATES) and channels in _LAYOUTS
        if object_type != _AAC_LC or not known:
            raise UnsupportedStreamError("its AAC is not AAC-LC, mono or stereo")
        if _AAC_SAMPLE_RATES[rate_index] != media.clock_hz:
            raise UnsupportedStreamError("the sample rate of its AAC differs from the RTP clock")
        self._rate = _AAC_SAMPLE_RATES[rate_index]
        self._layout = _LAYOUTS[channels]
        self._header_bits = (
            0xFFF1 << 40 | (object_type - 1) << 38 | rate_index << 34 | channels << 30 | 0x7FF << 2
        )

    def silence(self) -> bytes:
        """Return some silent frames, from which FFmpeg learns the format."""
        frame = av.AudioFrame(format="fltp", layout=self._layout, samples=_SAMPLES_PER_AAC_FRAME)
        frame.sample_rate = self._rate
        frame.pts = 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        try:
            encoder = av.CodecContext.create("aac", "w")
            encoder.sample_rate = self._rate
            encoder.layout = self._layout
            encoder.format = "fltp"
            packets = [*encoder.encode(frame), *encoder.encode(None)]
        except (av.FFmpegError, ValueError):
            raise UnsupportedStreamError("its AAC has an unusual sample rate") from None
        return b"".join(self._header(packet.size) + bytes(packet) for packet in packets)

    def split(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the frames of an RTP payload; a frame in several packets is left out.

        The payload begins with a size in bits, then one AU header of 16 bits for each frame.
        """
        header_bits = int.from_bytes(data[:2], "big")
        at = 2 + header_bits // 8
        frames = []
        for offset in range(2, min(at, len(data) - 1), 2):
            size = (data[offset] << 8 | data[offset + 1]) >> 3
            if not size or at + size > len(data) or size + _ADTS_HEADER_SIZE > _MAX_ADTS_FRAME:
                break
            frames.append((self._header(size) + data[at : at + size], _SAMPLES_PER_AAC_FRAME))
            at += size
        return frames

    def _header(self, size: int) -> bytes:
        """Return the ADTS header of a frame of `size` bytes."""
        bits = self._header_bits | size + _ADTS_HEADER_SIZE << 13
        return bits.to_bytes(_ADTS_HEADER_SIZE, "big")


def _probe(data: bytes, form: str, options: dict[str, str]) -> InputContainer:
    try:
        return av.open(io.BytesIO(data), "r", format=form, options=options)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnsupportedStreamError(f"FFmpeg cannot read its audio ({reason})") from None
