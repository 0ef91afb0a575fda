"""Footage at a real bit rate: noisy pictures that x264 cannot make small, cut as the edge does."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from media.fragmenter import Fragmenter, FragmentLimits

WIDTH, HEIGHT, FPS = 640, 360, 15
KEYFRAME_EVERY_S = 2
_PLATES = 16


@dataclass(frozen=True, slots=True)
class Cut:
    """One fragment of the reel."""

    seq: int
    data: bytes
    start_pts: int
    """Ticks of 90 kHz."""
    duration_ms: int


def cut(path: Path, limits: FragmentLimits | None = None) -> list[Cut]:
    """Return the fragments of a reel; `limits`: when to cut."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        fragmenter = Fragmenter(video, None, limits or FragmentLimits())
        found = [
            fragment
            for packet in container.demux(video)
            for fragment in fragmenter.push(packet, arrived_ms=0)
        ]
        found += fragmenter.finish()
    return [
        Cut(each.seq, bytes(each.data), each.start_pts, (each.end_pts - each.start_pts) // 90)
        for each in found
    ]


def film(path: Path, *, seconds: int, megabits: float) -> None:
    """Write a reel of H.264 in MPEG-TS: `seconds` long, close to `megabits` per second."""
    rate = round(megabits * 1_000_000)
    every = KEYFRAME_EVERY_S * FPS
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as out:
        video = out.add_stream(
            "libx264",
            rate=FPS,
            options={
                "preset": "ultrafast",
                "nal-hrd": "cbr",
                "x264-params": f"keyint={every}:min-keyint={every}:scenecut=0:bframes=0",
                "minrate": str(rate),
                "maxrate": str(rate),
                "bufsize": str(rate),
            },
        )
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = rate
        for at, picture in enumerate(_noise(seconds * FPS)):
            picture.pts, picture.time_base = at, Fraction(1, FPS)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    path.write_bytes(buffer.getvalue())


def _noise(pictures: int) -> Iterator[av.VideoFrame]:
    dice = np.random.default_rng(2026)
    plates = dice.integers(0, 256, (_PLATES, HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)
    for at in range(pictures):
        plate = np.roll(plates[at % _PLATES], 37 * (at // _PLATES), axis=1)
        yield av.VideoFrame.from_ndarray(plate, format="yuv420p")
