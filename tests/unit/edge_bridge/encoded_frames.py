"""Encoded packets for inference tests, in decode order, as capture would offer them."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.inference.decode import EncodedPacket
from edge_bridge.inference.frame_queue import FrameQueue

CAMERA = "acme/north/door"
RUN = "01930000-0000-7000-8000-000000000001"
OTHER_RUN = "01930000-0000-7000-8000-000000000002"
START_MS = 1_760_000_000_000


def at_ms_of(pts: int) -> int:
    """Return a time with a jitter of its own for each pts, so that it cannot be computed."""
    return START_MS + pts // 90 + (pts // 90 * 7919) % 13


@dataclass(frozen=True, slots=True)
class Clip:
    """The packets of one clip."""

    codec: str
    extradata: bytes
    width: int
    height: int
    packets: list[tuple[bytes, int, bool]]
    """(bytes, pts in 90 kHz from 0, keyframe)."""

    @property
    def duration(self) -> int:
        """90 kHz; pictures are evenly spaced."""
        shown = sorted(pts for _, pts, _ in self.packets)
        return shown[-1] - shown[0] + (shown[1] - shown[0])

    def encoded(
        self, *, run: str = RUN, offset: int = 0, discontinuity: bool = False
    ) -> Iterator[EncodedPacket]:
        """Yield the decoder's packets; only the first may be a discontinuity."""
        for index, (data, pts, keyframe) in enumerate(self.packets):
            yield EncodedPacket(
                run,
                data,
                pts + offset,
                at_ms_of(pts + offset),
                keyframe,
                self.codec,
                self.extradata,
                discontinuity and index == 0,
            )

    def offer(self, frames: FrameQueue, index: int, *, offset: int = 0, run: str = RUN) -> bool:
        """Offer one packet to a queue."""
        data, pts, keyframe = self.packets[index]
        pts += offset
        parameters = CodecParameters(self.codec, self.extradata, self.width, self.height)
        return frames.offer(
            EncodedFrame(CAMERA, run, data, pts, at_ms_of(pts), keyframe, parameters)
        )


def read_clip(path: Path) -> Clip:
    """Read a clip's video packets."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        context = stream.codec_context
        packets = []
        for packet in source.demux(stream):
            if packet.size and packet.pts is not None:
                pts = int(packet.pts * packet.time_base * 90_000)
                packets.append((bytes(packet), pts, packet.is_keyframe))
        first = min(pts for _, pts, _ in packets)
        shifted = [(data, pts - first, keyframe) for data, pts, keyframe in packets]
        return Clip(context.name, context.extradata or b"", context.width, context.height, shifted)


def encode(pictures: Iterator[av.VideoFrame], path: Path, *, fps: int, gop: int) -> Path:
    """Encode pictures as H.264 with two B-frames."""
    with av.open(str(path), "w") as out:
        options = {"preset": "veryfast", "g": str(gop), "bf": "2", "crf": "18"}
        video = out.add_stream("libx264", rate=fps, options=options)
        for number, picture in enumerate(pictures):
            if not number:
                video.width, video.height, video.pix_fmt = picture.width, picture.height, "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture.to_ndarray(format="rgb24"), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path
