"""The decode threads: each camera's packets go through one of them, in order.

    received ─► decode pool ─┬─► thread 1: cameras a, c ─┐
                             └─► thread 2: camera  b     ┴─► waiting for the model

Decoding is the largest part of the cost, and one thread is too few for a site of many cameras.
"""

import threading
from collections.abc import Callable
from queue import Full, Queue

MAX_QUEUED = 16
"""Jobs that may wait for one thread. Then `submit` waits, and in the end the frame queue drops."""
_CHECK_S = 0.1

Job = Callable[[], None]


class DecodePool:
    """A fixed number of threads. An error ends one; it is kept, and `submit` raises it."""

    def __init__(self, threads: int) -> None:
        self.error: BaseException | None = None
        """What ended a thread; None: all run."""
        self._queues: list[Queue[Job | None]] = [Queue(MAX_QUEUED) for _ in range(threads)]
        self._queue_of: dict[str, Queue[Job | None]] = {}
        self._threads = [
            threading.Thread(target=self._run_jobs, args=(queue,), name="decode", daemon=True)
            for queue in self._queues
        ]
        for thread in self._threads:
            thread.start()

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._threads)

    def submit(self, camera: str, job: Job) -> None:
        """Queue a job for the camera's thread, after its earlier ones; waits while it is full.

        Raises what ended a thread, of this or another camera.
        """
        queue = self._queue_of.get(camera)
        if queue is None:
            # Round robin over the threads, by the order in which cameras appear.
            queue = self._queues[len(self._queue_of) % len(self._queues)]
            self._queue_of[camera] = queue
        while True:
            if self.error is not None:
                raise self.error
            try:
                return queue.put(job, timeout=_CHECK_S)
            except Full:
                continue

    def finish(self, within_s: float) -> None:
        """Run all queued jobs, then end the threads; returns after `within_s` anyway."""
        last = threading.Thread(target=self._end_threads, name="decode-end", daemon=True)
        last.start()
        last.join(within_s)

    def _end_threads(self) -> None:
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run_jobs(self, queue: "Queue[Job | None]") -> None:
        while (job := queue.get()) is not None:
            try:
                if self.error is None:
                    job()
            except BaseException as error:  # `submit` raises it
                self.error = error
