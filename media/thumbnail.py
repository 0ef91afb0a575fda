"""A small JPEG of one frame of a fragment. Blocking: call it in a thread."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np

from domain.errors import MediaError
from media import mpegts
from media.allocation_limit import limit_allocations

HEAD_BYTES = 10 * 188
"""The first packets of a fragment; PAT and PMT are among them."""
MAX_WIDTH = 1_280
MAX_SAR = 4
"""A pixel is at most this much wider than high, or higher than wide."""
TICKS_PER_MS = 90
QUALITY = 80


@dataclass(frozen=True, slots=True)
class ByteRanges:
    """The byte ranges of a fragment that hold one frame: (first, last), inclusive."""

    ranges: tuple[tuple[int, int], ...]
    keyframe: int
    """Index of the keyframe in the fragment's list; -1: the whole fragment is needed."""
    pts: int | None


def ranges_for(
    at_ms: int,
    *,
    start_ms: int,
    start_pts: int,
    size_bytes: int,
    keyframes: list[tuple[int, int, int]] | None,
) -> ByteRanges:
    """Return the ranges of the last keyframe at or before `at_ms`, else of the first keyframe.

    keyframes are (pts at 90 kHz, offset, size), as in the fragment's event; None: unknown.
    """
    usable = [each for each in keyframes or [] if each[2] > 0 and sum(each[1:]) <= size_bytes]
    if not usable:
        return ByteRanges(((0, size_bytes - 1),), -1, None)
    wanted = start_pts + max(0, at_ms - start_ms) * TICKS_PER_MS
    index = max((n for n, each in enumerate(usable) if each[0] <= wanted), default=0)
    pts, offset, size = usable[index]
    if offset <= HEAD_BYTES:
        return ByteRanges(((0, offset + size - 1),), index, pts)
    return ByteRanges(((0, HEAD_BYTES - 1), (offset, offset + size - 1)), index, pts)


def assemble(parts: Sequence[bytes]) -> bytes:
    """Return a transport stream of the ranges' bytes.

    Only PAT and PMT are taken from the fragment's head. Raises MediaError if it holds no PAT.
    """
    if len(parts) == 1:
        return parts[0]
    head, keyframe = parts
    tables, program = b"", None
    for packet in mpegts.packets(head):
        if packet.pid == mpegts.PAT_PID and packet.starts:
            program = mpegts.pmt_pid(packet.payload)
        elif packet.pid != program:
            continue
        tables += head[packet.offset : packet.offset + mpegts.PACKET]
    if program is None:
        raise MediaError("no PAT is at the fragment's start.")
    return tables + keyframe


def jpeg(
    data: bytes,
    width: int,
    draw: Callable[[Any], None] | None = None,
    *,
    container: Literal["mpegts", "mp4"] = "mpegts",
) -> bytes:
    """Return the first frame in `data` as a JPEG of at most `width` square pixels.

    The sample aspect ratio (SAR) says how wide a pixel is. `draw` may draw into the image (height x
    width x 3, blue green red) first. Raises MediaError if nothing can be decoded.
    """
    image, sar = _first_frame(data, container)
    if draw is not None:
        draw(image)
    height, coded = image.shape[:2]
    full = max(1, round(coded * sar))
    width = min(width, full, MAX_WIDTH)
    if width != coded:
        size = (width, max(1, round(height * width / full)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise MediaError("The frame cannot be written as JPEG.")
    return encoded.tobytes()


def _first_frame(data: bytes, form: str) -> "tuple[np.ndarray[Any, Any], Fraction]":
    """Return the frame and its sample aspect ratio; 1 where none or an implausible one is given."""
    limit_allocations()
    try:
        with av.open(io.BytesIO(data), mode="r", format=form) as container:
            if not container.streams.video:
                raise MediaError("The fragment has no video.")
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                sar = stream.codec_context.sample_aspect_ratio or Fraction(1)
                is_plausible = 1 / MAX_SAR <= sar <= MAX_SAR
                return frame.to_ndarray(format="bgr24"), sar if is_plausible else Fraction(1)
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(f"The fragment cannot be decoded: {error}") from error
    raise MediaError("The fragment holds no frame that can be decoded.")
