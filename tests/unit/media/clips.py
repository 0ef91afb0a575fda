"""Small clips made by FFmpeg through PyAV, for the tests of this folder."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def make_clip(
    path: Path,
    *,
    pictures: int = 300,
    fps: int = 25,
    gop: int = 25,
    codec: str = "libx264",
    bframes: int = 0,
    audio: str | None = None,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (160, 120),
) -> Path:
    """Write a clip of moving noise-free pictures; the name gives the container."""
    container = av.open(str(path), "w")
    video = container.add_stream(codec, rate=fps)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    video.gop_size = gop
    video.max_b_frames = bframes
    video.options = {"preset": "ultrafast", **(options or {})}
    if codec == "libx265":
        video.options = {
            "preset": "ultrafast",
            "x265-params": f"keyint={gop}:min-keyint={gop}:bframes={bframes}:log-level=none",
            **(options or {}),
        }
    else:
        video.options = {
            "preset": "ultrafast",
            "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={bframes}:b-adapt=0",
            **(options or {}),
        }
    rate = 8_000 if audio and audio.startswith("pcm") else 44_100
    audio_stream = container.add_stream(audio, rate=rate, layout="mono") if audio else None
    width, height = size
    sent = 0
    for n in range(pictures):
        image = np.zeros((height, width, 3), np.uint8)
        image[:, (n * 4) % width :] = (n % 250, 128, 255 - n % 250)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = n, Fraction(1, fps)
        container.mux(video.encode(frame))
        while audio_stream is not None and sent * fps <= (n + 1) * rate:
            tone = (np.sin(np.arange(sent, sent + 1_024) / 10) * 8_000).astype(np.int16)
            wave = av.AudioFrame.from_ndarray(tone.reshape(1, -1), format="s16", layout="mono")
            wave.sample_rate, wave.pts, wave.time_base = rate, sent, Fraction(1, rate)
            container.mux(audio_stream.encode(wave))
            sent += 1_024
    container.mux(video.encode(None))
    if audio_stream is not None:
        container.mux(audio_stream.encode(None))
    container.close()
    return path
