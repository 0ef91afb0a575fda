"""Frames that were read together, and are recorded in one pass.

    read      [K . . . .] [. . K . .] [. . . . K]
    recorded  run 1 ────────►│run 2 ───────────►

A run may end within a batch, at a keyframe. The rest of the batch belongs to the next run.
"""

import time
from collections.abc import Iterator, Sequence

from edge_bridge.capture.coalescing import Arrived
from edge_bridge.capture.source import BatchSource, Source
from edge_bridge.rtsp.errors import CameraError
from media.access_unit import AccessUnit

Frame = AccessUnit | Arrived
"""A video frame, or a packet of video or audio with its arrival."""


class Batch:
    """Frames in decoding order; those before `at` were recorded."""

    __slots__ = ("at", "frames")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.at = 0

    def clear(self) -> None:
        """Forget the frames: all were recorded."""
        self.frames = ()
        self.at = 0


class BatchReader:
    """Reads a source's frames. Audio without video counts as no data."""

    def __init__(self, source: Source, no_data_s: float) -> None:
        self._batches: Iterator[Sequence[Frame]] = (
            source.batches()
            if isinstance(source, BatchSource)
            else ([arrived] for arrived in source.packets())
        )
        self._video = source.video
        self._no_data_s = no_data_s
        self._video_s = time.monotonic()
        self._batch = Batch(())
        self._times: tuple[int | None, int | None] = (None, None)
        """PTS and DTS of the last video packet, as the camera gave them."""
        self._put_back: Frame | None = None

    def __iter__(self) -> "BatchReader":
        return self

    def __next__(self) -> Batch:
        if self._batch.at < len(self._batch.frames):
            return self._batch
        self._batch.clear()  # the bytes of its frames are not kept while the camera is read
        frames = next(self._batches)
        now_s = time.monotonic()
        first = frames[0]
        if isinstance(first, AccessUnit):
            self._video_s = now_s
        elif first[0].stream is self._video:
            self._video_s = now_s
            self._times = first[0].pts, first[0].dts
        elif now_s - self._video_s > self._no_data_s:
            raise CameraError(f"no video for {self._no_data_s:g} s, only audio")
        self._batch = Batch(frames)
        return self._batch

    def put_back(self) -> None:
        """Let the next read begin with the frame that ended a run.

        A packet gets the times again that the camera gave it. A frame is put back once at most.
        """
        batch = self._batch
        if batch.at >= len(batch.frames):
            return
        frame = batch.frames[batch.at]
        if frame is self._put_back:
            batch.at += 1
            return
        self._put_back = frame
        if isinstance(frame, AccessUnit):
            return
        packet = frame[0]
        packet.pts, packet.dts = self._times
        if self._video.time_base is not None:
            packet.time_base = self._video.time_base
