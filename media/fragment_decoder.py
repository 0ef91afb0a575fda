"""Decodes the fragments of one camera, one after the other, with one decoder that stays open.

The frames of a fragment follow from the fragment alone: its first unit is a keyframe, and at its
end the decoder gives all it has. So fragments may come in any order, and twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext

from domain.errors import MediaError
from media import mpegts
from media.allocation_limit import limit_allocations
from media.frames import FragmentClock, in_next_cell
from media.ts_video import VideoUnit, read_video


@dataclass(frozen=True, slots=True)
class DecodedFragmentFrame:
    """A decoded frame of a fragment, still in the decoder's own planes."""

    pts: int
    at_ms: int
    frame: av.VideoFrame


class FragmentDecoder:
    """One camera's decoder; for one thread."""

    def __init__(self) -> None:
        limit_allocations()
        self._codec = ""
        self._context: VideoCodecContext | None = None

    def frames(
        self, data: bytes, clock: FragmentClock, rate_mfps: int | None
    ) -> Iterator[DecodedFragmentFrame]:
        """Yield frames of a fragment in display order, chosen as `media.frames` says.

        `rate_mfps`: frames in 1000 s; None: keyframes, and only they are decoded. Raises
        MediaError where the fragment cannot be decoded, perhaps after some frames.
        """
        video = read_video(data, keyframes_only=rate_mfps is None)
        previous = clock.previous_pts
        for pts, frame in self._decode(video.codec, video.units, clock.start_pts):
            if pts < clock.start_pts:
                continue
            if rate_mfps is None or in_next_cell(pts, previous, rate_mfps):
                yield DecodedFragmentFrame(pts, clock.at_ms(pts), frame)
            previous = pts

    def _decode(
        self, codec: str, units: list[VideoUnit], near_pts: int
    ) -> Iterator[tuple[int, av.VideoFrame]]:
        context = self._context_of(codec)
        try:
            for unit in units:
                packet: av.Packet[Any] = av.Packet(unit.data)
                packet.pts = mpegts.unwrap(unit.pts, near_pts)
                for frame in context.decode(packet):
                    if frame.pts is not None and not frame.is_corrupt:
                        yield frame.pts, frame
            for frame in context.decode(None):
                if frame.pts is not None and not frame.is_corrupt:
                    yield frame.pts, frame
        except (av.FFmpegError, ValueError) as error:
            raise MediaError(f"it cannot be decoded: {error}") from error
        finally:
            # Also where the caller stops early: the next fragment starts from nothing.
            context.flush_buffers()

    def _context_of(self, codec: str) -> VideoCodecContext:
        if self._context is None or codec != self._codec:
            context = av.CodecContext.create(codec, "r")
            assert isinstance(context, VideoCodecContext)
            context.thread_count = 1
            self._context = context
            self._codec = codec
        return self._context
