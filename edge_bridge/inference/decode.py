"""One camera's decoder: packets in, pictures with their own times out."""

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
"""Pictures a decoder may hold back; far above any real reordering."""


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
    fresh: bool


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One picture, in the order shown, with the times of the packet it came from."""

    run: str
    pts: int
    at_ms: int
    frame: av.VideoFrame


class CameraDecoder:
    """Decodes one camera; after anything broken it goes on at the next keyframe."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._context: VideoCodecContext | None = None
        self._opened: tuple[str, str, bytes] | None = None
        self._run_id = ""
        self._at_ms: dict[int, int] = {}
        self._synced = False
        self.broken = 0
        """Packets that could not be decoded so far."""

    def decode(self, packet: EncodedPacket) -> Iterator[DecodedFrame]:
        """Yield the pictures that became ready; raises MediaError for a codec nobody knows."""
        opened = (packet.run, packet.codec, packet.extradata)
        if opened != self._opened:
            yield from self._drain()
            self._context, self._opened = None, None
            self._context = self._open(packet)
            self._synced = False
            self._opened, self._run_id = opened, packet.run
        elif packet.fresh:
            yield from self.flush()
        if not (self._synced or packet.keyframe):
            return
        self._synced = True
        self._at_ms[packet.pts] = packet.at_ms
        if len(self._at_ms) > _MAX_PENDING:
            del self._at_ms[next(iter(self._at_ms))]
        coded = av.Packet(packet.data)
        coded.pts = packet.pts
        assert self._context is not None
        yield from self._run(self._context, self._run_id, coded)

    def flush(self) -> Iterator[DecodedFrame]:
        """Yield the pictures still held back; the next packet must be a keyframe."""
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
            raise MediaError(f"{self._camera}: {packet.codec!r} is no video codec.")
        context.thread_count = 1
        if packet.extradata:
            context.extradata = packet.extradata
        return context

    def _drain(self) -> Iterator[DecodedFrame]:
        """Yield the pictures still held back for reordering."""
        if self._context is not None and self._synced:
            yield from self._run(self._context, self._run_id, None)
        self._at_ms.clear()

    def _run(
        self, context: VideoCodecContext, run: str, coded: "av.Packet[Any] | None"
    ) -> Iterator[DecodedFrame]:
        try:
            frames = context.decode(coded)
        except av.error.FFmpegError as error:
            if coded is not None:
                self.broken += 1
                log.debug("%s: packet at %s not decodable: %s", self._camera, coded.pts, error)
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
