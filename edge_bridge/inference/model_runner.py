"""The model's own threads: pictures of all cameras in, batches through the model, objects out.

eyes ─► waiting (bounded, the oldest go first) ─► a batch: full, or its first waited long enough
                                                    └► prepared ─► model ─► read ─► on_found
Each step has a thread of its own: while one batch is computed the next is prepared and the last is
read and told, where the detector allows it. Decoding goes on meanwhile; the model waits for nobody,
unless telling falls two batches behind.
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
"""Computed batches that may wait to be read; then the model waits."""
_STALE_LOOKS = 3
"""A picture may wait for as long as this many looks took of late, if that is longer."""

_FrameBatch = tuple[list[SampledFrame], Any]
OnObjects = Callable[[list[SampledFrame], list[list[DetectedObject]]], None]


class BatchRunner:
    """Looks at pictures in threads; `offer` never waits. A fault ends it and is kept."""

    def __init__(
        self,
        detector: Detector,
        on_found: OnObjects,
        tally: OutcomeCounts,
        *,
        batch: int,
        batch_s: float,
    ) -> None:
        """`batch`: most pictures at once; `batch_s`: how long the first waits for the others."""
        self._on_found, self._tally = on_found, tally
        self._prepare: Callable[[list[BgrImage]], Any] = list
        self._compute: Callable[[Any], Any] = detector.detect
        self._read: Callable[[Any], list[list[DetectedObject]]] = list
        at_once = 1
        if isinstance(detector, StagedDetector):
            self._prepare, self._compute = detector.prepare, detector.compute
            self._read, at_once = detector.read, 2
        self._turns = threading.Semaphore(at_once)
        self._prepared: SimpleQueue[_FrameBatch | None] = SimpleQueue()
        self._computed: Queue[_FrameBatch | None] = Queue(_MAX_UNREAD)
        self._batch, self._batch_s = max(1, min(batch, detector.batch)), batch_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[float, SampledFrame]] = deque()
        self._waiting_bytes = 0
        self._finishing = False
        self._busy_since_s: float | None = None
        self._looking_s = self._last_look_s = 0.0
        self.fault: BaseException | None = None
        """What ended the threads, if anything did."""
        self._last = threading.Thread(target=self._tell, name="teller", daemon=True)
        self._last.start()
        threading.Thread(target=self._look, name="looker", daemon=True).start()
        threading.Thread(target=self._prepare_ahead, name="preparer", daemon=True).start()

    def offer(self, sample: SampledFrame) -> None:
        """Take a picture; where too many wait, the oldest goes, counted as `behind`."""
        with self._changed:
            self._waiting.append((time.monotonic(), sample))
            self._waiting_bytes += sample.picture.nbytes
            while len(self._waiting) > 1 and (
                len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES
            ):
                self._drop()
            self._changed.notify()

    def finish(self, within_s: float) -> None:
        """Look at what waits, then end the threads; gives up after `within_s`."""
        with self._changed:
            self._finishing = True
            self._changed.notify()
        self._last.join(within_s)

    @property
    def waiting(self) -> int:
        """Pictures that wait."""
        return len(self._waiting)

    @property
    def stuck_s(self) -> float:
        """How long the model has been at work on one batch, seconds; 0 while it waits."""
        since = self._busy_since_s
        return 0.0 if since is None else time.monotonic() - since

    @property
    def lag_s(self) -> float:
        """How long the oldest picture has waited, seconds."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def spent_s(self) -> float:
        """Return how long the model was at work since the last call, seconds."""
        with self._changed:
            spent, self._looking_s = self._looking_s, 0.0
            return spent

    def _prepare_ahead(self) -> None:
        try:
            while self.fault is None:
                self._turns.acquire()
                batch = self._gather()
                if not batch:
                    break
                prepared = self._prepare([one.picture for one in batch])
                self._prepared.put((batch, prepared))
        except BaseException as fault:  # whoever asks for it raises it
            self.fault = fault
        finally:
            self._prepared.put(None)

    def _look(self) -> None:
        try:
            while (next_one := self._prepared.get()) is not None:
                batch, prepared = next_one
                began_s = self._busy_since_s = time.monotonic()
                computed = self._compute(prepared)
                self._turns.release()
                self._computed.put((batch, computed))
                self._busy_since_s = None
                with self._changed:
                    self._last_look_s = time.monotonic() - began_s
                    self._looking_s += self._last_look_s
        except BaseException as fault:  # whoever asks for it raises it
            self._busy_since_s = None
            self.fault = fault
            self._turns.release()
        finally:
            self._computed.put(None)

    def _tell(self) -> None:
        telling = True
        while (next_one := self._computed.get()) is not None:
            batch, computed = next_one
            try:
                if telling:
                    self._on_found(batch, self._read(computed))
            except BaseException as fault:  # whoever asks for it raises it
                self.fault = fault
                telling = False  # but takes on what comes: the model must not wait for ever

    def _gather(self) -> list[SampledFrame]:
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
            taken: list[SampledFrame] = []
            while self._waiting and len(taken) < self._batch:
                taken.append(self._waiting.popleft()[1])
                self._waiting_bytes -= taken[-1].picture.nbytes
            return taken

    def _drop_stale(self) -> None:
        patience_s = max(BEHIND_LAG_S, _STALE_LOOKS * self._last_look_s)
        oldest_s = time.monotonic() - patience_s
        while self._waiting and self._waiting[0][0] < oldest_s and not self._finishing:
            self._drop()

    def _drop(self) -> None:
        _, dropped = self._waiting.popleft()
        self._waiting_bytes -= dropped.picture.nbytes
        self._tally.add(dropped.camera, "behind")
