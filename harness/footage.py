"""Tiny real fragments: MPEG-TS of numbered pictures, each with its own name inside.

    | PAT | PMT | keyframe n | pictures n+1 … | a null packet: "camera run seq" |

Encoding is the same for all cameras and is cached. Readers skip the null packet. It makes the bytes
of each fragment its own: a chunk with another camera's bytes is noticed.
"""

import hashlib
import io
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np

from domain.events import FragmentArrived
from domain.identity import FragmentId

FPS = 5
WIDTH, HEIGHT = 96, 64
_BITS = 16
_TS_PACKET = 188
_NULL_HEADER = bytes((0x47, 0x1F, 0xFF, 0x10))


def drawn(number: int) -> av.VideoFrame:
    """Return a picture whose 16 columns are white where the number has a one."""
    bits = [255 if number >> bit & 1 else 0 for bit in reversed(range(_BITS))]
    row = np.repeat(np.array(bits, dtype=np.uint8), WIDTH // _BITS)
    return av.VideoFrame.from_ndarray(np.tile(row, (HEIGHT, 1)), format="gray")


@lru_cache(maxsize=4_096)
def encoded(seq: int, duration_ms: int) -> bytes:
    """Return a fragment's pictures as MPEG-TS; they are numbered on through the run."""
    frames = duration_ms * FPS // 1_000
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as out:
        video = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "bf": "0"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        for at in range(frames):
            picture = drawn((seq * frames + at) % (1 << _BITS)).reformat(format="yuv420p")
            picture.pts = start_pts(seq, duration_ms) + at * 90_000 // FPS
            picture.time_base = Fraction(1, 90_000)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    return buffer.getvalue()


def start_pts(seq: int, duration_ms: int) -> int:
    """Return the presentation time of a fragment's first picture, 1/90000 s."""
    return 90_000 + seq * duration_ms * 90


def named(camera: str, run: str, seq: int) -> bytes:
    """Return a null packet with a fragment's name in it."""
    name = f"{camera} {run} {seq}".encode()
    mark = _NULL_HEADER + name.ljust(_TS_PACKET - len(_NULL_HEADER), b"\xff")
    return mark[:_TS_PACKET]


def film(
    camera: str, run: str, seq: int, *, start_ms: int, duration_ms: int
) -> tuple[FragmentArrived, bytes]:
    """Return a fragment's event and bytes, the same each time; `start_ms` is the fragment's."""
    return fragment_event(
        FragmentId(camera, run, seq),
        encoded(seq, duration_ms),
        start_ms=start_ms,
        duration_ms=duration_ms,
        pts=start_pts(seq, duration_ms),
        frames=duration_ms * FPS // 1_000,
        size=(WIDTH, HEIGHT),
    )


def fragment_event(
    one: FragmentId,
    pictures: bytes,
    *,
    start_ms: int,
    duration_ms: int,
    pts: int,
    frames: int,
    size: tuple[int, int],
) -> tuple[FragmentArrived, bytes]:
    """Return the event and the bytes of a fragment of these pictures; they carry its name.

    `size`: width and height of the pictures.
    """
    data = pictures + named(one.camera, one.run, one.seq)
    event = FragmentArrived(
        camera=one.camera,
        run=one.run,
        seq=one.seq,
        start_ms=start_ms,
        duration_ms=duration_ms,
        start_pts=pts,
        arrived_ms=start_ms,
        closed_ms=start_ms + duration_ms,
        frames=frames,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        video_codec="h264",
        width=size[0],
        height=size[1],
    )
    return event, data


def numbers(chunk: bytes) -> list[int]:
    """Return the numbers that the pictures of a chunk or fragment carry, in order."""
    found = []
    with av.open(io.BytesIO(chunk), "r", format="mpegts") as container:
        for frame in container.decode(video=0):
            grey = frame.to_ndarray(format="gray")
            step = WIDTH // _BITS
            bits = (grey[:, step // 2 :: step].mean(axis=0) > 127).astype(int)
            found.append(int("".join(map(str, bits)), 2))
    return found
