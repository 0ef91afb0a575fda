"""Which worker gets a packet while a new one takes over: each camera moves at a keyframe.

camera a   p p p K p p p p        old ▏p p p▕      new ▏K p p p p▕
camera b   p p p p p K p p        old ▏p p p p p▕  new ▏K p p▕
No picture goes to both and none to neither.
"""

import asyncio
import contextlib

from edge_bridge.inference.frame_queue import FrameQueue, QueuedFrame
from edge_bridge.inference.ipc import PeerClosedError
from edge_bridge.inference.worker_process import WorkerProcess


class Handover:
    """Carries packets from the feed to the worker whose camera it is now."""

    def __init__(self, first: WorkerProcess) -> None:
        self._old: WorkerProcess | None = None
        self._now = first
        self._cameras: set[str] = set()
        self._moved: set[str] = set()
        self.done = asyncio.Event()
        """Set once all cameras that are known have moved to the newest worker."""
        self.done.set()

    def move_to(self, new: WorkerProcess) -> None:
        """Let each camera go to `new` from its next keyframe on."""
        self._old, self._now = self._now, new
        self._moved.clear()
        self._settle()

    def settle(self) -> None:
        """Wait for no camera any longer: all go to the newest worker from their next keyframe."""
        self._old = None

    def choose(self, one: QueuedFrame) -> tuple[WorkerProcess | None, bool]:
        """Return who gets a packet (None: nobody) and whether its decoder begins anew with it."""
        camera = one.picture.camera
        self._cameras.add(camera)
        if self.done.is_set() or camera in self._moved:
            return self._now, one.fresh
        if one.picture.keyframe:
            self._moved.add(camera)
            self._settle()
            return self._now, True
        return self._old, one.fresh

    async def carry(self, feed: FrameQueue) -> None:
        """Carry packets until cancelled; one for a worker that is gone is dropped."""
        while True:
            one = await feed.take()
            child, fresh = self.choose(one)
            if child is not None:
                with contextlib.suppress(PeerClosedError):
                    await child.send(one, fresh=fresh)

    def _settle(self) -> None:
        if self._cameras <= self._moved:
            self._old = None
            self.done.set()
        else:
            self.done.clear()
