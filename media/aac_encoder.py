"""Audio for MPEG-TS: codecs that it supports are copied, all others are encoded as AAC."""

from collections.abc import Iterator
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from media.packet import AnyPacket

COPIED_CODECS = frozenset({"aac", "mp2", "mp3", "ac3", "eac3", "opus"})
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
        self._resampler = av.AudioResampler("fltp", layout, rate, frame_size=_SAMPLES_PER_FRAME)
        self._gap_samples = rate // 10
        self._next_pts: int | None = None
        self.failures = 0
        """Packets that could not be decoded; they become silence."""

    def encode(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        """Yield AAC packets on the packet's own timeline, in ticks of 1/rate.

        Samples follow one another without a gap. Only a gap of more than 0.1 s moves the time.
        """
        try:
            frames = packet.decode()
            resampled = [
                part
                for frame in frames
                for part in self._resampler.resample(cast(AudioFrame, frame))
            ]
        except av.FFmpegError:
            self.failures += 1
            return
        for frame in resampled:
            if frame.pts is None:
                continue
            if self._next_pts is None or abs(frame.pts - self._next_pts) > self._gap_samples:
                self._next_pts = frame.pts
            frame.pts = self._next_pts
            self._next_pts += frame.samples
            yield from self.stream.codec_context.encode(frame)
