"""Audio for MPEG-TS: codecs that browsers play are copied, all others are encoded as AAC."""

from collections.abc import Iterator
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from media.packet import AnyPacket

COPIED_CODECS = frozenset({"aac", "mp3"})
"""Browsers (hls.js) play only these from a transport stream: neither Opus nor MP2, and few AC-3."""
_BITS_PER_CHANNEL = 48_000
_SAMPLES_PER_FRAME = 1_024


def codec_of(stream: AudioStream) -> str:
    """Return the codec's canonical name, not the name of the decoder that FFmpeg chose."""
    return str(stream.codec_context.codec.canonical_name)


class AacEncoder:
    """Encodes one stream's packets as AAC at its own sample rate, mono or stereo."""

    def __init__(self, source: AudioStream, container: OutputContainer) -> None:
        channels = 1 if source.codec_context.layout.nb_channels == 1 else 2
        layout = "mono" if channels == 1 else "stereo"
        rate = source.codec_context.sample_rate
        self.stream: AudioStream = container.add_stream("aac", rate=rate, layout=layout)
        self.stream.codec_context.bit_rate = _BITS_PER_CHANNEL * channels
        self.stream.codec_context.open()
        self._format = (layout, rate)
        self._resampler = self._new_resampler()
        self._gap_samples = rate // 10
        self._next_pts: int | None = None
        self.failures = 0
        """Packets that could not be decoded or encoded; they become silence."""

    def encode(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield AAC packets on the packet's own timeline, in ticks of 1/rate.

        Samples follow one another without a gap. Only a gap of more than 0.1 s moves the time.
        """
        try:
            frames = packet.decode()
        except (av.FFmpegError, ValueError):
            self.failures += 1
            return
        for frame in frames:
            yield from self._encode_frame(cast(AudioFrame, frame))

    def _encode_frame(self, frame: AudioFrame) -> Iterator[AnyPacket]:
        try:
            resampled = self._resampler.resample(frame)
        except (av.FFmpegError, ValueError):
            # The camera changed the audio's sample rate or channels: a resampler has one format.
            self.failures += 1
            self._resampler = self._new_resampler()
            return
        for part in resampled:
            if part.pts is None:
                continue
            if self._next_pts is None or abs(part.pts - self._next_pts) > self._gap_samples:
                self._next_pts = part.pts
            part.pts = self._next_pts
            self._next_pts += part.samples
            try:
                yield from self.stream.codec_context.encode(part)
            except (av.FFmpegError, ValueError):
                self.failures += 1

    def _new_resampler(self) -> av.AudioResampler:
        layout, rate = self._format
        return av.AudioResampler("fltp", layout, rate, frame_size=_SAMPLES_PER_FRAME)
