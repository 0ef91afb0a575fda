"""One camera's decoder: packets in, frames with their own times out."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from domain.errors import MediaError

log = logging.getLogger(__name__)

_MAX_PENDING = 256
"""Frames a decoder may keep for reordering; far above any real number."""


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One packet in decode order, as capture offered it."""

    run: str
    data: bytes
    pts: int
    at_ms: int
    keyframe: bool
    codec: str
    extradata: bytes
    discontinuity: bool
    """Whether packets before it were dropped."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame in presentation order, with the times of the packet it came from."""

    run: str
    pts: int
    at_ms: int
    frame: av.VideoFrame


class CameraDecoder:
    """Decodes one camera; after a broken packet it continues at the next keyframe."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._context: VideoCodecContext | None = None
        self._opened_for: tuple[str, str, bytes] | None = None
        """Run, codec and extradata of the context."""
        self._run = ""
        self._at_ms: dict[int, int] = {}
        """UTC of the frames that the decoder has not returned yet, by pts."""
        self._synced = False
        """Whether a keyframe was decoded since the last break."""
        self.broken = 0
        """Packets that could not be decoded so far."""

    def decode(self, packet: EncodedPacket) -> Iterator[DecodedFrame]:
        """Yield the frames that are ready; raises MediaError for an unknown codec."""
        wanted = (packet.run, packet.codec, packet.extradata)
        if wanted != self._opened_for:
            yield from self._drain()
            # Where the codec is unknown, the next packet tries again.
            self._context = None
            self._opened_for = None
            self._context = self._open(packet)
            self._synced = False
            self._opened_for = wanted
            self._run = packet.run
        elif packet.discontinuity:
            yield from self.flush()
        if not (self._synced or packet.keyframe):
            return
        self._synced = True
        self._at_ms[packet.pts] = packet.at_ms
        if len(self._at_ms) > _MAX_PENDING:
            del self._at_ms[next(iter(self._at_ms))]
        av_packet = av.Packet(packet.data)
        av_packet.pts = packet.pts
        assert self._context is not None
        yield from self._decode(self._context, self._run, av_packet)

    def flush(self) -> Iterator[DecodedFrame]:
        """Yield the frames that the decoder still has; the next packet must be a keyframe."""
        yield from self._drain()
        if self._context is not None:
            self._context.flush_buffers()
        self._synced = False

    def _open(self, packet: EncodedPacket) -> VideoCodecContext:
        try:
            context = av.CodecContext.create(packet.codec, "r")
        except (av.error.FFmpegError, ValueError) as error:
            raise MediaError(
                f"{self._camera}: inference has no decoder for {packet.codec!r}; "
                "set the camera to H.264 or H.265."
            ) from error
        if not isinstance(context, VideoCodecContext):
            raise MediaError(f"{self._camera}: {packet.codec!r} is not a video codec.")
        context.thread_count = 1
        if packet.extradata:
            context.extradata = packet.extradata
        return context

    def _drain(self) -> Iterator[DecodedFrame]:
        """Yield the frames that the decoder still has for reordering."""
        if self._context is not None and self._synced:
            yield from self._decode(self._context, self._run, None)
        self._at_ms.clear()

    def _decode(
        self, context: VideoCodecContext, run: str, av_packet: "av.Packet[Any] | None"
    ) -> Iterator[DecodedFrame]:
        try:
            frames = context.decode(av_packet)
        except av.error.FFmpegError as error:
            if av_packet is not None:
                self.broken += 1
                log.debug("%s: cannot decode packet at %s: %s", self._camera, av_packet.pts, error)
            context.flush_buffers()
            self._at_ms.clear()
            self._synced = False
            return
        for frame in frames:
            at_ms = None if frame.pts is None else self._at_ms.pop(frame.pts, None)
            if at_ms is None or frame.pts is None or frame.is_corrupt:
                self.broken += 1
                continue
            yield DecodedFrame(run, frame.pts, at_ms, frame)
