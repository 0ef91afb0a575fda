"""Runs the model in threads of its own: frames of all cameras in, batches through it, objects out.

    decode threads ─► waiting (bounded; the oldest are dropped first)
                         └► a batch: full, or its first frame waited long enough
                              └► preprocess ─► infer ─► postprocess ─► on_objects

Each step has a thread of its own, where the detector allows it (double buffering). While one batch
is inferred, the next is preprocessed and the previous one is postprocessed and reported. Decoding
continues during all of this. The model waits only if reporting is two batches behind
(back-pressure).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Queue, SimpleQueue
from typing import Any

from edge_bridge.inference.camera_pipeline import SampledFrame
from edge_bridge.inference.outcome_counts import OutcomeCounts
from edge_bridge.inference.rate_control import BEHIND_LAG_S
from vision.detector import BgrImage, DetectedObject, Detector, StagedDetector

MAX_WAITING = 64
MAX_WAITING_BYTES = 256 << 20
_MAX_UNREAD = 2
"""Inferred batches that may wait to be postprocessed; then the model waits."""
_STALE_BATCHES = 3
"""A frame may wait as long as this many recent batches took, if that is longer."""

_FrameBatch = tuple[list[SampledFrame], Any]
OnObjects = Callable[[list[SampledFrame], list[list[DetectedObject]]], None]


class BatchRunner:
    """Detects objects in threads; `offer` never waits. An error ends the threads and is kept."""

    def __init__(
        self,
        detector: Detector,
        on_objects: OnObjects,
        outcomes: OutcomeCounts,
        *,
        batch: int,
        batch_s: float,
    ) -> None:
        """`batch`: most frames at once; `batch_s`: how long the first waits for the others."""
        self._on_objects = on_objects
        self._outcomes = outcomes
        self._preprocess: Callable[[list[BgrImage]], Any] = list
        self._infer: Callable[[Any], Any] = detector.detect
        self._postprocess: Callable[[Any], list[list[DetectedObject]]] = list
        buffers = 1
        if isinstance(detector, StagedDetector):
            self._preprocess = detector.preprocess
            self._infer = detector.infer
            self._postprocess = detector.postprocess
            buffers = 2
        self._free_buffers = threading.Semaphore(buffers)
        self._preprocessed: SimpleQueue[_FrameBatch | None] = SimpleQueue()
        self._inferred: Queue[_FrameBatch | None] = Queue(_MAX_UNREAD)
        self._batch = max(1, min(batch, detector.batch))
        self._batch_s = batch_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, SampledFrame]] = deque()
        """With the time of the offer, monotonic seconds."""
        self._waiting_bytes = 0
        self._finishing = False
        self._busy_since_s: float | None = None
        self._inference_s = 0.0
        """Since `spent_s` was called last."""
        self._last_batch_s = 0.0
        self.error: BaseException | None = None
        """What ended the threads; None: they run."""
        self._last_thread = threading.Thread(
            target=self._run_postprocessing, name="postprocess", daemon=True
        )
        self._last_thread.start()
        threading.Thread(target=self._run_inference, name="infer", daemon=True).start()
        threading.Thread(target=self._run_preprocessing, name="preprocess", daemon=True).start()

    def offer(self, sample: SampledFrame) -> None:
        """Take a frame; where too many wait, the oldest is dropped and counted as `behind`."""
        with self._changed:
            self._waiting.append((time.monotonic(), sample))
            self._waiting_bytes += sample.picture.nbytes
            while len(self._waiting) > 1 and (
                len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
            ):
                self._drop_oldest()
            self._changed.notify()

    def finish(self, within_s: float) -> None:
        """Run the model on what waits, then end the threads; returns after `within_s` anyway."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._last_thread.join(within_s)

    @property
    def waiting(self) -> int:
        """Frames that wait."""
        return len(self._waiting)

    @property
    def busy_s(self) -> float:
        """How long the model has computed the current batch, seconds; 0 while it waits."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    @property
    def lag_s(self) -> float:
        """How long the oldest frame has waited, seconds."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def spent_s(self) -> float:
        """Return how long the model computed since the last call, seconds."""
        with self._changed:
            spent_s = self._inference_s
            self._inference_s = 0.0
            return spent_s

    def _run_preprocessing(self) -> None:
        try:
            while self.error is None:
                self._free_buffers.acquire()
                batch = self._next_batch()
                if not batch:
                    break
                preprocessed = self._preprocess([one.picture for one in batch])
                self._preprocessed.put((batch, preprocessed))
        except BaseException as error:  # the owner reads `error` and raises it
            self.error = error
        finally:
            self._preprocessed.put(None)

    def _run_inference(self) -> None:
        try:
            while (item := self._preprocessed.get()) is not None:
                batch, preprocessed = item
                started_s = self._busy_since_s = time.monotonic()
                output = self._infer(preprocessed)
                self._free_buffers.release()
                # Waits while two batches are unread: reporting must not fall behind without bound.
                self._inferred.put((batch, output))
                self._busy_since_s = None
                with self._changed:
                    self._last_batch_s = time.monotonic() - started_s
                    self._inference_s += self._last_batch_s
        except BaseException as error:  # the owner reads `error` and raises it
            self._busy_since_s = None
            self.error = error
            self._free_buffers.release()
        finally:
            self._inferred.put(None)

    def _run_postprocessing(self) -> None:
        failed = False
        while (item := self._inferred.get()) is not None:
            batch, output = item
            try:
                if not failed:
                    self._on_objects(batch, self._postprocess(output))
            except BaseException as error:  # the owner reads `error` and raises it
                self.error = error
                # Keep taking batches: otherwise the inference thread would wait forever.
                failed = True

    def _next_batch(self) -> list[SampledFrame]:
        """Return the next batch, waiting for it; empty: finished."""
        with self._changed:
            while True:
                while not self._waiting and not self._finishing:
                    self._changed.wait()
                while len(self._waiting) < self._batch and not self._finishing:
                    left_s = self._waiting[0][0] + self._batch_s - time.monotonic()
                    if left_s <= 0:
                        break
                    self._changed.wait(left_s)
                self._drop_stale()
                if self._waiting or self._finishing:
                    break
            batch: list[SampledFrame] = []
            while self._waiting and len(batch) < self._batch:
                batch.append(self._waiting.popleft()[1])
                self._waiting_bytes -= batch[-1].picture.nbytes
            return batch

    def _drop_stale(self) -> None:
        max_wait_s = max(BEHIND_LAG_S, _STALE_BATCHES * self._last_batch_s)
        oldest_s = time.monotonic() - max_wait_s
        while self._waiting and self._waiting[0][0] < oldest_s and not self._finishing:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, dropped = self._waiting.popleft()
        self._waiting_bytes -= dropped.picture.nbytes
        self._outcomes.add(dropped.camera, "behind")
