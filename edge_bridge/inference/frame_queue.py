"""Where capture offers its packets: a bounded queue that never waits and drops whole GOPs.

    queue of a camera   ▏K p p p p K p p▕ full
    offered next         p p p K p p p  dropped: a decoder needs the packets that were lost
                                        K: accepted again once half of the queue is free

A GOP (group of pictures) is a keyframe with the frames up to the next.
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
    """One encoded frame on its way to the worker."""

    frame: EncodedFrame
    """With its own data."""
    discontinuity: bool
    """True where packets before this one were dropped: the decoder must start again."""
    offered_s: float
    """Monotonic clock of this machine when it was offered."""

    @property
    def memory_bytes(self) -> int:
        """What it takes in memory."""
        return _memory_bytes(self.frame)


class FrameQueue:
    """One for all cameras; any thread may call `offer`."""

    def __init__(
        self,
        max_queue: int = 120,
        *,
        max_bytes: int = MAX_WAITING_BYTES,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_queue`: packets of one camera that may wait; `max_bytes`: of all together."""
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._waiting: deque[QueuedFrame] = deque()
        self._waiting_bytes = 0
        self._waiting_of: dict[str, int] = {}
        """Packets that wait, by camera."""
        self._needs_keyframe: dict[str, bool] = {}
        """Cameras whose next packet must be a keyframe; at first, all."""
        self._open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()

    def offer(self, frame: EncodedFrame) -> bool:
        """Accept one packet in decode order, or drop it; never blocks. Returns whether accepted.

        Only an accepted packet is copied.
        """
        camera = frame.camera
        with self._lock:
            needs_keyframe = self._needs_keyframe.get(camera, True)
            if needs_keyframe and not frame.keyframe:
                return False
            size = _memory_bytes(frame)
            waiting = self._waiting_of.get(camera, 0)
            # After a drop, start again only with room for the rest of the GOP (hysteresis).
            max_waiting = self._max_queue // 2 if needs_keyframe else self._max_queue
            full = waiting >= max_waiting or self._waiting_bytes + size > self._max_bytes
            if not self._open or full:
                self._needs_keyframe[camera] = True
                DROPPED_GOPS.labels(camera).inc()
                return False
            self._needs_keyframe[camera] = False
            self._waiting_of[camera] = waiting + 1
            self._waiting_bytes += size
            owned = frame.with_owned_data()
            self._waiting.append(QueuedFrame(owned, needs_keyframe, self._monotonic_s()))
            first, loop = len(self._waiting) == 1, self._loop
            if first and loop is not None:
                loop.call_soon_threadsafe(self._arrived.set)
        return True

    def open(self) -> None:
        """Accept packets from now on, each camera from its next keyframe; call it in the loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._open = True
            self._clear()

    def close(self) -> None:
        """Drop what waits and all that comes until the next `open`."""
        with self._lock:
            self._open = False
            self._loop = None
            for queued in self._waiting:
                if queued.frame.keyframe:
                    DROPPED_GOPS.labels(queued.frame.camera).inc()
            self._clear()

    async def take(self) -> QueuedFrame:
        """Return the next packet, waiting for one."""
        while True:
            with self._lock:
                if self._waiting:
                    queued = self._waiting.popleft()
                    self._waiting_of[queued.frame.camera] -= 1
                    self._waiting_bytes -= queued.memory_bytes
                    return queued
                self._arrived.clear()
            await self._arrived.wait()

    @property
    def waiting(self) -> int:
        """Packets that wait, of all cameras."""
        return len(self._waiting)

    def _clear(self) -> None:
        self._waiting.clear()
        self._waiting_bytes = 0
        self._waiting_of.clear()
        self._needs_keyframe.clear()


def _memory_bytes(frame: EncodedFrame) -> int:
    return frame.size + len(frame.codec_parameters.extradata)
