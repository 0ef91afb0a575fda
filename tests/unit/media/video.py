"""Small real MPEG-TS clips whose frames give their number by their brightness."""

import io
from fractions import Fraction

import av
import numpy as np

RATE = 10
STEP = 12


def clip(
    frames: int, *, keyframe_every: int = 10, width: int = 320, height: int = 240, sar: str = ""
) -> bytes:
    """Return a TS file of `frames` pictures, 10 a second from PTS 0; picture n is n * 12 bright."""
    target = io.BytesIO()
    with av.open(target, mode="w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1"}
        stream.codec_context.gop_size = keyframe_every
        stream.time_base = Fraction(1, RATE)
        if sar:
            stream.codec_context.sample_aspect_ratio = Fraction(sar)
        for number in range(frames):
            grey = np.full((height, width, 3), min(255, number * STEP), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()
