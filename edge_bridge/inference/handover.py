"""Which worker gets a packet while a new one takes over: each camera moves at a keyframe.

    camera a   p p p K p p p p        old ▏p p p▕      new ▏K p p p p▕
    camera b   p p p p p K p p        old ▏p p p p p▕  new ▏K p p▕

No frame goes to both workers, and none to neither.
"""

import asyncio
import contextlib

from edge_bridge.inference.frame_queue import FrameQueue, QueuedFrame
from edge_bridge.inference.worker_process import WorkerProcess
from stores.ipc import PeerClosedError


class Handover:
    """Sends packets from the frame queue to the worker that has their camera now."""

    def __init__(self, first: WorkerProcess) -> None:
        self._old: WorkerProcess | None = None
        self._newest = first
        self._cameras: set[str] = set()
        self._moved: set[str] = set()
        """Cameras whose packets go to the newest worker already."""
        self.done = asyncio.Event()
        """Set once all known cameras have moved to the newest worker."""
        self.done.set()

    def move_to(self, new: WorkerProcess) -> None:
        """Move each camera to `new` at its next keyframe."""
        self._old = self._newest
        self._newest = new
        self._moved.clear()
        self._update_done()

    def stop_waiting(self) -> None:
        """Take all cameras from the old worker now; until their next keyframe they get none."""
        self._old = None

    def route(self, queued: QueuedFrame) -> tuple[WorkerProcess | None, bool]:
        """Return which worker gets a packet (None: drop it), and whether it is a discontinuity."""
        camera = queued.frame.camera
        self._cameras.add(camera)
        if self.done.is_set() or camera in self._moved:
            return self._newest, queued.discontinuity
        if queued.frame.keyframe:
            self._moved.add(camera)
            self._update_done()
            return self._newest, True
        return self._old, queued.discontinuity

    async def run(self, frames: FrameQueue) -> None:
        """Send packets until cancelled; a packet for a worker that is gone is dropped."""
        while True:
            queued = await frames.take()
            worker, discontinuity = self.route(queued)
            if worker is not None:
                with contextlib.suppress(PeerClosedError):
                    await worker.send(queued, discontinuity=discontinuity)

    def _update_done(self) -> None:
        if self._cameras <= self._moved:
            self._old = None
            self.done.set()
        else:
            self.done.clear()
