"""The pictures of a fragment, chosen by their own time. Blocking: call it in a thread.

grid of 2 a second  |        |        |        |
pictures at 5 a s   *  .  .  *  .  *  .  .  *        the first in each cell

The grid stands on the run's PTS, so that the same pictures are chosen whatever was looked at
before: from any fragment on, in any order, twice.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from domain.errors import MediaError
from media import mpegts

TICKS_PER_MS = 90
_MFPS_TICKS = 90_000_000
"""Ticks in 1000 s."""


@dataclass(frozen=True, slots=True)
class FragmentClock:
    """How a fragment's media time is wall time."""

    start_pts: int
    start_ms: int
    duration_ms: int
    frames: int

    def at_ms(self, pts: int) -> int:
        """Return when the picture at `pts` (90 kHz, unwrapped) was taken, UTC ms."""
        return self.start_ms + round((pts - self.start_pts) / TICKS_PER_MS)

    @property
    def before(self) -> int:
        """PTS of the last picture before the fragment, as its rate suggests."""
        return self.start_pts - self.duration_ms * TICKS_PER_MS // max(1, self.frames)


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One decoded picture: height x width x 3, blue green red."""

    pts: int
    at_ms: int
    picture: NDArray[np.uint8]


def pictures(data: bytes, clock: FragmentClock, rate_mfps: int | None) -> Iterator[DecodedFrame]:
    """Yield pictures of a fragment (MPEG-TS) in the order shown, one at a time.

    `rate_mfps`: pictures wanted in 1000 s; None: keyframes only, of which alone are decoded.
    Raises MediaError where the fragment cannot be decoded, maybe after some pictures.
    """
    before = clock.before
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
                if rate_mfps is None or _cell(pts, rate_mfps) != _cell(before, rate_mfps):
                    picture = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
                    yield DecodedFrame(pts, clock.at_ms(pts), picture)
                before = pts
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"it cannot be decoded: {error}") from error


def _cell(pts: int, rate_mfps: int) -> int:
    return pts * rate_mfps // _MFPS_TICKS
