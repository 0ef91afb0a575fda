"""The demo's clips: Debian's sample videos, encoded once as a camera would send them.

H.264 with a keyframe every 2 s, no B-frames, one slice per picture; some with audio. If the
samples are not installed, a drawn scene replaces them.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from domain.errors import VigilError
from local.folder import cache_dir
from local.picture_number import draw_number

Picture = npt.NDArray[np.uint8]
_SAMPLES = Path("/usr/share/doc/opencv-doc/examples/data")
_KEYFRAME_EVERY_S = 2
_AUDIO_RATE = 8_000
_FORMAT = 2  # raise it when all clips must be encoded again


@dataclass(frozen=True)
class DemoClip:
    """A clip to prepare: the part of a sample, its frame rate and its audio codec."""

    name: str
    title: str
    sample: str
    rate: int
    crop: tuple[int, int, int, int] | None = None  # left, top, width, height in the sample
    mirrored: bool = False
    bounced: bool = False  # forwards and backwards, for a sample too short to repeat
    audio: str | None = None  # codec


CLIPS = (
    DemoClip("courtyard", "Courtyard", "vtest.avi", 10, audio="pcm_alaw"),
    DemoClip("walkway", "Walkway", "vtest.avi", 10, crop=(256, 96, 512, 384)),
    DemoClip("gate", "North gate", "vtest.avi", 10, mirrored=True, audio="aac"),
    DemoClip("garden", "Garden", "tree.avi", 15, bounced=True),
)


def prepare(clip: DemoClip, report: Callable[[str], None], *, numbered: bool = False) -> Path:
    """Return the clip's file (MOV), encoded now if it is not in the cache.

    `numbered`: each picture carries its number, from 0.
    """
    sample = _SAMPLES / clip.sample
    source = "drawn" if not sample.exists() else str(sample.stat().st_size)
    identity = hashlib.sha256(f"{_FORMAT} {source} {clip}".encode()).hexdigest()[:12]
    name = f"{clip.name}-numbered" if numbered else clip.name
    path = cache_dir() / "clips" / f"{name}-{identity}.mov"
    if path.exists():
        return path
    report(f"preparing the clip {name}" + (" (drawn)" if source == "drawn" else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    pictures = _draw(clip) if source == "drawn" else _read_pictures(clip, sample)
    if numbered:
        pictures = _with_numbers(pictures)
    try:
        _encode(clip, pictures, partial)
    except (av.FFmpegError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise VigilError(
            f"Cannot prepare the clip {clip.name} from {sample}: {error}. Check the disk's free "
            "space, or reinstall the package opencv-doc."
        ) from error
    partial.replace(path)
    return path


def _read_pictures(clip: DemoClip, sample: Path) -> Iterator[Picture]:
    shown: list[Picture] = []
    with av.open(str(sample)) as container:
        for frame in container.decode(video=0):
            picture: Any = frame.to_ndarray(format="bgr24")
            if clip.crop:
                left, top, width, height = clip.crop
                full = picture.shape[1], picture.shape[0]
                picture = picture[top : top + height, left : left + width]
                picture = cv2.resize(picture, full, interpolation=cv2.INTER_CUBIC)
            if clip.mirrored:
                picture = np.ascontiguousarray(picture[:, ::-1])
            if clip.bounced:
                shown.append(picture)
            yield picture
    yield from reversed(shown)


def _with_numbers(pictures: Iterator[Picture]) -> Iterator[Picture]:
    for number, picture in enumerate(pictures):
        carrier = picture.copy()  # a bounced clip yields each picture twice
        draw_number(carrier, number)
        yield carrier


def _draw(clip: DemoClip) -> Iterator[Picture]:
    """Yield the pictures of one minute: figures that walk over a lawn."""
    seed = int(hashlib.sha256(clip.name.encode()).hexdigest()[:4], 16)
    random = np.random.default_rng(seed)
    lawn = np.full((576, 768, 3), (70, 110, 80), np.uint8)
    lawn += random.integers(0, 25, lawn.shape, np.uint8)
    walkers = [
        (random.integers(0, 768), 180 + 90 * row, random.uniform(-40, 40)) for row in range(4)
    ]
    for number in range(60 * clip.rate):
        picture = lawn.copy()
        for start, foot, speed in walkers:
            at = number / clip.rate
            x, swing = int(start + speed * at) % 768, int(8 * math.sin(at * 6))
            cv2.line(picture, (x, foot - 40), (x - swing, foot), (40, 30, 30), 9)
            cv2.line(picture, (x, foot - 40), (x + swing, foot), (40, 30, 30), 9)
            cv2.rectangle(picture, (x - 10, foot - 90), (x + 10, foot - 38), (150, 60, 40), -1)
            cv2.circle(picture, (x, foot - 102), 10, (140, 170, 210), -1)
        yield picture


def _encode(clip: DemoClip, pictures: Iterator[Picture], path: Path) -> None:
    with av.open(str(path), "w", format="mov") as container:
        video: Any = container.add_stream("libx264", rate=clip.rate)
        video.pix_fmt = "yuv420p"
        video.time_base = Fraction(1, clip.rate)
        video.codec_context.gop_size = _KEYFRAME_EVERY_S * clip.rate
        # Frame threads, not slice threads: x264 must make one slice per picture.
        video.options = {
            "preset": "veryfast",
            "crf": "25",
            "bf": "0",
            "x264-params": "scenecut=0:sliced-threads=0:threads=2:open-gop=0",
        }
        audio: Any = None
        if clip.audio:
            audio = container.add_stream(clip.audio, rate=_AUDIO_RATE, layout="mono")
        packets: list[Any] = []
        count = 0
        for picture in pictures:
            if count == 0:
                video.height, video.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = count, Fraction(1, clip.rate)
            packets += video.encode(frame)
            count += 1
        packets += video.encode(None)
        if audio:
            packets += _street_noise(audio, count * _AUDIO_RATE // clip.rate)
        # Interleaved, so that the clip can be played while it is read.
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux_one(packet)


def _street_noise(stream: Any, samples: int) -> Iterator[Any]:
    """Yield packets of quiet street noise: low-passed noise."""
    noise = np.random.default_rng(7).normal(0, 1, samples)
    smooth = np.convolve(noise, np.ones(24) / 24, "same")
    pcm = (smooth / np.abs(smooth).max() * 2_500).astype(np.int16)
    step = stream.codec_context.frame_size or _AUDIO_RATE // 25
    for start in range(0, samples - step + 1, step):
        block = np.ascontiguousarray(pcm[start : start + step].reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts = _AUDIO_RATE, start
        frame.time_base = Fraction(1, _AUDIO_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
