"""The eyes' threads: each camera's packets go through one of them, in their order.

received ─► crew ─┬─► thread 1: cameras a, c ─┐
                  └─► thread 2: camera  b     ┴─► what waits for the model
Decoding is most of what looking costs, and one thread cannot do it for a site of many cameras.
"""

import threading
from collections.abc import Callable
from queue import Full, Queue

MAX_QUEUED = 16
"""Works that may wait for one thread; then whoever gives waits, and at last the feed drops."""
_ASK_S = 0.1

Job = Callable[[], None]


class DecodePool:
    """A fixed number of threads. A fault ends one, is kept, and is raised to whoever gives."""

    def __init__(self, threads: int) -> None:
        self.fault: BaseException | None = None
        """What ended a thread, if anything did."""
        self._queues: list[Queue[Job | None]] = [Queue(MAX_QUEUED) for _ in range(threads)]
        self._of: dict[str, Queue[Job | None]] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(queue,), name="eyes", daemon=True)
            for queue in self._queues
        ]
        for thread in self._threads:
            thread.start()

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._threads)

    def give(self, camera: str, work: Job) -> None:
        """Let the camera's thread do it, after all it was given before; waits for room.

        Raises what ended a thread, of this or another camera.
        """
        queue = self._of.get(camera)
        if queue is None:
            queue = self._of[camera] = self._queues[len(self._of) % len(self._queues)]
        while True:
            if self.fault is not None:
                raise self.fault
            try:
                return queue.put(work, timeout=_ASK_S)
            except Full:
                continue

    def finish(self, within_s: float) -> None:
        """Let all that was given be done, then end the threads; gives up after `within_s`."""
        last = threading.Thread(target=self._end, name="eyes' end", daemon=True)
        last.start()
        last.join(within_s)

    def _end(self) -> None:
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, queue: "Queue[Job | None]") -> None:
        while (work := queue.get()) is not None:
            try:
                if self.fault is None:
                    work()
            except BaseException as fault:  # whoever gives raises it
                self.fault = fault
