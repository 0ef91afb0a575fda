"""A whole edge in this process, its cameras playing numbered clips, its detections counted."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from domain.events import Detection, DetectionFrame
from domain.events.detections import FoundObject
from domain.events.registry import encode
from edge_bridge.config import EdgeConfig
from edge_bridge.edge import Edge
from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.live.manager import LiveManager
from edge_bridge.parts import build_parts
from edge_bridge.recorders import RecorderManager
from edge_bridge.spool.thread import SpoolThread
from harness.footage import HEIGHT, WIDTH, drawn

FPS = 10
GOP = 10
_ANALYSED_EVERY = 5
"""One of so many pictures is analysed."""
_OBJECT = FoundObject(label="number", score=1, box=(0, 0, 1, 1), track=None)


def write_clip(path: Path, frames: int, *, fps: int = FPS, gop: int = GOP) -> None:
    """Write a clip of numbered pictures, a keyframe every `gop` of them; 65,536 at most."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "sc_threshold": "0"}
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=fps, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = Fraction(1, fps)
        for number in range(frames):
            picture = drawn(number).reformat(format="yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, fps)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))


class NumberedInference(InferenceManager):
    """Takes the place of local inference: reports a detection for every fifth picture."""

    def __init__(self, owner: SpoolThread) -> None:
        self._owner = owner
        self._seen: dict[str, int] = defaultdict(int)
        self.pending = False
        self.reported: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        """(camera, run) -> PTS and UTC ms of what was reported, in order."""

    @property
    def frame_sink(self) -> "NumberedInference":
        """What pictures are offered to."""
        return self

    @property
    def sampled_out(self) -> int:
        """Pictures that were shown and not analysed: one of five is."""
        return sum(self._seen.values()) - sum(map(len, self.reported.values()))

    @property
    def state(self) -> str:
        """In a word."""
        return "bench"

    async def apply(self, config: EdgeConfig) -> None:
        """Analyse all cameras, as always."""

    async def stop(self) -> None:
        """Nothing runs."""

    def offer(self, picture: EncodedFrame) -> bool:
        """Take a picture."""
        camera, run = picture.camera, picture.run
        self._seen[camera] += 1
        if self._seen[camera] % _ANALYSED_EVERY:
            return True
        frames = [DetectionFrame(pts=picture.pts, at_ms=picture.at_ms, objects=[_OBJECT])]
        event = Detection(camera=camera, run=run, model="bench", model_version="1", frames=frames)
        self.reported[camera, run].append((picture.pts, picture.at_ms))
        self._owner.message(event.type, encode(event))
        return True


class NumberedEdge(Edge):
    """An edge with `NumberedInference`."""

    eyes: NumberedInference

    def __init__(
        self, config: EdgeConfig, on_spool: Callable[[SpoolThread], None] = lambda _: None
    ) -> None:
        """`on_spool` is called once, before anything is recorded."""

        def make_inference(
            spool: SpoolThread, _recorders: RecorderManager, _live: LiveManager
        ) -> NumberedInference:
            on_spool(spool)
            self.eyes = NumberedInference(spool)
            return self.eyes

        super().__init__(config, partial(build_parts, make_inference=make_inference))

    @property
    def played(self) -> bool:
        """Whether all clips have been played to their end, by RTSP: they then begin again."""
        starts = Counter(camera for camera, _ in self.eyes.reported)
        statuses = self.parts.recorders.statuses
        return bool(statuses) and all(
            status.state == "stopped" or starts[status.camera] > 1 for status in statuses
        )


async def started(
    config: EdgeConfig, edge: NumberedEdge | None = None
) -> tuple[NumberedEdge, "asyncio.Task[None]"]:
    """Run an edge, or that one, in a task; returns once its cameras are started."""
    edge = edge or NumberedEdge(config)
    ready = asyncio.Event()
    task = asyncio.create_task(edge.run(ready.set), name="edge")
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()
    return edge, task
