"""Decodes frames of a fragment, selected by their own time. Blocking: call it in a thread.

    grid of 2 a second  |        |        |        |
    frames at 5 a s     *  .  .  *  .  *  .  .  *        the first in each cell

The grid is fixed to the run's PTS. So the same frames are selected, whatever was decoded before:
from any fragment on, in any order, twice.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from domain.errors import MediaError
from media import mpegts
from media.allocation_limit import limit_allocations

TICKS_PER_MS = 90
_TICKS_PER_1000_S = 90_000_000


@dataclass(frozen=True, slots=True)
class FragmentClock:
    """Relates a fragment's media time to UTC."""

    start_pts: int
    start_ms: int
    duration_ms: int
    frames: int

    def at_ms(self, pts: int) -> int:
        """Return when the frame at `pts` (90 kHz, unwrapped) was taken, UTC ms."""
        return self.start_ms + round((pts - self.start_pts) / TICKS_PER_MS)

    @property
    def previous_pts(self) -> int:
        """PTS of the last frame before the fragment, estimated from its frame rate."""
        return self.start_pts - self.duration_ms * TICKS_PER_MS // max(1, self.frames)


@dataclass(frozen=True, slots=True)
class FragmentFrame:
    """A decoded frame of a fragment."""

    pts: int
    at_ms: int
    image: NDArray[np.uint8]
    """Height x width x 3, blue green red."""


def decode_frames(
    data: bytes, clock: FragmentClock, rate_mfps: int | None
) -> Iterator[FragmentFrame]:
    """Yield frames of a fragment (MPEG-TS) in display order, one at a time.

    `rate_mfps` is the number of frames in 1000 s; None: keyframes only, and only they are decoded.
    Raises MediaError if the fragment cannot be decoded, perhaps after some frames.
    """
    limit_allocations()
    previous = clock.previous_pts
    try:
        with av.open(io.BytesIO(data), mode="r", format="mpegts") as container:
            if not container.streams.video:
                raise MediaError("it has no video.")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            if rate_mfps is None:
                stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                if frame.pts is None or frame.is_corrupt:
                    continue
                pts = mpegts.unwrap(frame.pts, clock.start_pts)
                if pts < clock.start_pts:
                    continue
                if rate_mfps is None or _cell(pts, rate_mfps) != _cell(previous, rate_mfps):
                    image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                    yield FragmentFrame(pts, clock.at_ms(pts), image)
                previous = pts
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"it cannot be decoded: {error}") from error


def _cell(pts: int, rate_mfps: int) -> int:
    return pts * rate_mfps // _TICKS_PER_1000_S
