"""Footage whose every picture carries its own number in a form that survives encoding.

A picture is a grid of 6 columns and 4 rows of black and white blocks: 16 bits of the number, most
significant first, then their complement's low 8 bits as a check.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 6, 4
BITS, CHECK_BITS = 16, 8


def draw_number(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Return an RGB picture (height, width, 3) that carries `number` (0..65535)."""
    check = ~(number ^ number >> 8) & 0xFF
    value = number << CHECK_BITS | check
    cells = [value >> bit & 1 for bit in reversed(range(BITS + CHECK_BITS))]
    grid = np.array(cells, dtype=np.uint8).reshape(ROWS, COLUMNS) * 200 + 25
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.repeat(grid[rows][:, columns][:, :, None], 3, axis=2)


def read_number(grey: NDArray[np.uint8]) -> int | None:
    """Return the number that a grey picture (height, width) carries, or None if it is damaged."""
    height, width = grey.shape
    value = 0
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = (2 * row + 1) * height // (2 * ROWS), (2 * column + 1) * width // (2 * COLUMNS)
            value = value << 1 | int(grey[y - 2 : y + 3, x - 2 : x + 3].mean() > 125)
    number, check = value >> CHECK_BITS, value & 0xFF
    return number if check == ~(number ^ number >> 8) & 0xFF else None


def encoded(
    pictures: Iterable[NDArray[np.uint8]],
    start_pts: int,
    *,
    fps: int,
    pixels: str = "rgb24",
    options: Mapping[str, str],
    codec: str = "libx264",
    with_audio: bool = False,
) -> bytes:
    """Return pictures (height, width, 3) as MPEG-TS, the first shown at `start_pts`.

    `start_pts` is in 90 kHz; `options` are those of `codec`. The audio is silent AAC.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts", options={"muxdelay": "0"}) as out:
        video = out.add_stream(codec, rate=fps, options=dict(options))
        video.codec_context.time_base = Fraction(1, 90_000)
        silence = out.add_stream("aac", rate=48_000) if with_audio else None
        for at, each in enumerate(pictures):
            if at == 0:
                video.height, video.width = each.shape[:2]
                video.pix_fmt = "yuv420p"
            picture = av.VideoFrame.from_ndarray(each, format=pixels)
            picture.pts = start_pts + at * 90_000 // fps
            picture.time_base = Fraction(1, 90_000)
            out.mux(video.encode(picture))
            if silence is not None:
                silence_frame = av.AudioFrame.from_ndarray(
                    np.zeros((2, 48_000 // fps), np.float32), format="fltp", layout="stereo"
                )
                silence_frame.sample_rate = 48_000
                silence_frame.pts = picture.pts * 48_000 // 90_000
                silence_frame.time_base = Fraction(1, 48_000)
                out.mux(silence.encode(silence_frame))
        out.mux(video.encode(None))
        if silence is not None:
            out.mux(silence.encode(None))
    return buffer.getvalue()


def write_clip(
    path: Path,
    frames: int,
    *,
    fps: int = 25,
    gop: int = 25,
    codec: str = "libx264",
    width: int = 192,
    height: int = 128,
    audio: str | None = None,
    b_frames: int = 0,
    first: int = 0,
) -> Path:
    """Write a clip of `frames` pictures, numbered from `first`.

    `audio` adds a tone in that codec (aac …).
    """
    with av.open(str(path), "w") as out:
        options = {
            "preset": "ultrafast",
            "g": str(gop),
            "keyint_min": str(gop),
            "bf": str(b_frames),
        }
        if codec == "libx264":
            options |= {"sc_threshold": "0", "tune": "zerolatency"} if not b_frames else {}
        else:
            options = {
                "preset": "ultrafast",
                "x265-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:"
                "log-level=error",
            }
        video = out.add_stream(codec, rate=fps, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = Fraction(1, fps)
        tone_stream = out.add_stream(audio, rate=48_000, layout="mono") if audio else None
        heard = 0
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(
                draw_number(first + number, width, height), format="rgb24"
            )
            picture.pts, picture.time_base = number, Fraction(1, fps)
            out.mux(video.encode(picture))
            while tone_stream is not None and heard * fps < (number + 1) * 48_000:
                wave = np.sin(np.arange(heard, heard + 1024) * (2 * np.pi * 440 / 48_000))
                tone = av.AudioFrame.from_ndarray(
                    wave.astype(np.float32)[None, :], format="fltp", layout="mono"
                )
                tone.sample_rate, tone.pts, tone.time_base = 48_000, heard, Fraction(1, 48_000)
                heard += 1024
                out.mux(tone_stream.encode(tone))
        out.mux(video.encode(None))
        if tone_stream is not None:
            out.mux(tone_stream.encode(None))
    return path


def numbers_in(path: Path | str) -> Iterator[int | None]:
    """Yield the number of each picture of a clip in the order shown; None for a damaged one."""
    with av.open(str(path)) as clip:
        for frame in clip.decode(video=0):
            yield read_number(frame.to_ndarray(format="gray"))
