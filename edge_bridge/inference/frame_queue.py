"""Where capture offers its packets: bounded, never waiting, dropping whole groups of pictures.

queue of a camera   ▏K p p p p K p p▕ full
offered next         p p p K p p p  dropped: a decoder cannot do without what was lost
                                    K: taken again once half of the queue is free
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.inference.metrics import DROPPED_GOPS

MAX_WAITING_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class QueuedFrame:
    """One encoded picture on its way to the worker."""

    picture: EncodedFrame
    """With bytes of its own."""
    fresh: bool
    """True where packets before this one were not passed on: the decoder starts anew."""
    offered_s: float
    """Monotonic clock of this machine when it was offered."""

    @property
    def bytes_held(self) -> int:
        """What it takes in memory."""
        return _bytes_held(self.picture)


class FrameQueue:
    """One for all cameras; `offer` may be called by any thread."""

    def __init__(
        self,
        max_queue: int = 120,
        *,
        max_bytes: int = MAX_WAITING_BYTES,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_queue`: packets of one camera that may wait; `max_bytes`: of all together."""
        self._max_queue, self._max_bytes = max_queue, max_bytes
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._waiting: deque[QueuedFrame] = deque()
        self._waiting_bytes = 0
        self._waiting_of: dict[str, int] = {}
        # Cameras whose next packet must be a keyframe.
        self._broken: dict[str, bool] = {}
        self._open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()

    def offer(self, picture: EncodedFrame) -> bool:
        """Take one packet in decode order, or drop it; never blocks. Returns whether it was taken.

        Only what is taken is copied.
        """
        camera = picture.camera
        with self._lock:
            broken = self._broken.get(camera, True)
            if broken and not picture.keyframe:
                return False
            size = _bytes_held(picture)
            waiting = self._waiting_of.get(camera, 0)
            room = self._max_queue // 2 if broken else self._max_queue
            full = waiting >= room or self._waiting_bytes + size > self._max_bytes
            if not self._open or full:
                self._broken[camera] = True
                DROPPED_GOPS.labels(camera).inc()
                return False
            self._broken[camera] = False
            self._waiting_of[camera] = waiting + 1
            self._waiting_bytes += size
            self._waiting.append(
                QueuedFrame(picture.with_owned_data(), broken, self._monotonic_s())
            )
            first, loop = len(self._waiting) == 1, self._loop
            if first and loop is not None:
                loop.call_soon_threadsafe(self._arrived.set)
        return True

    def open(self) -> None:
        """Take packets from now on, each camera from its next keyframe; call it in the loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._open = True
            self._forget()

    def close(self) -> None:
        """Drop what waits and all that comes until the next `open`."""
        with self._lock:
            self._open = False
            self._loop = None
            for offered in self._waiting:
                if offered.picture.keyframe:
                    DROPPED_GOPS.labels(offered.picture.camera).inc()
            self._forget()

    async def take(self) -> QueuedFrame:
        """Return the next packet, waiting for one."""
        while True:
            with self._lock:
                if self._waiting:
                    offered = self._waiting.popleft()
                    self._waiting_of[offered.picture.camera] -= 1
                    self._waiting_bytes -= offered.bytes_held
                    return offered
                self._arrived.clear()
            await self._arrived.wait()

    @property
    def waiting(self) -> int:
        """Packets that wait, of all cameras."""
        return len(self._waiting)

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._waiting_of.clear()
        self._broken.clear()


def _bytes_held(picture: EncodedFrame) -> int:
    return picture.size + len(picture.codec_parameters.extradata)
