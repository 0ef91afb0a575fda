"""Keeps a worker running: starts, restarts and replaces it. Recording never waits for it.

    start ─► loading ─► working ─► ended (crash, hang, model error)
      ▲                  │   ▲       │ killed, frame queue closed
      │                  ▼   │       │
      │   a new one loads in         │ back-off with jitter, or at once on request
      │   parallel, then takes over  │
      └──────────────────────────────┘

A new worker takes over on request, and when the model's files change. It also replaces a worker
that is too large or too old. If it fails, the old worker continues; `takeover` and `detail` say so.
"""

import asyncio
import contextlib
import logging
import random
import time
from typing import Literal

from edge_bridge.config.inference import InferenceConfig
from edge_bridge.inference import metrics
from edge_bridge.inference.errors import RESTART_BACKOFF, WorkerFaultError
from edge_bridge.inference.frame_queue import FrameQueue
from edge_bridge.inference.handover import Handover
from edge_bridge.inference.model_files import Fingerprint, fingerprint
from edge_bridge.inference.worker_process import OnDetections, OnFrames, Privacy, WorkerProcess
from vision.metrics import set_detector_info

log = logging.getLogger(__name__)

HEALTHY_S = 60.0
"""After a worker ran this long, its fault counts as the first in a row."""
HANDOVER_S = 15.0
"""How long cameras have for their next keyframe when a new worker takes over."""
FINISH_S = 10.0
"""How long the old one then has to finish its frames."""
RECYCLE_AGAIN_S = 600.0
"""A younger worker is not replaced for its size: the limit may be too small for the model."""
_CHECK_S = 1.0
_UNWATCHED_S = 5.0

State = Literal["stopped", "loading", "working", "waiting"]
Takeover = Literal["none", "pending", "failed"]


class WorkerSupervisor:
    """The workers as the recording process sees them: offer frames to `frames`; `run` keeps one."""

    def __init__(
        self,
        config: InferenceConfig,
        on_detections: OnDetections,
        privacy: Privacy | None = None,
        on_frames: OnFrames | None = None,
    ) -> None:
        """`on_detections` stores an event durably (the outbox); its errors are logged.

        `on_frames` gets the same objects at once, before they are in a batch, for the live picture.
        `privacy`: the full id of a camera -> places that must not be seen.
        """
        self._config = config
        self._on_detections = on_detections
        self._on_frames = on_frames
        self._privacy: Privacy = privacy or {}
        self.frames = FrameQueue(config.max_queue)
        self.state: State = "stopped"
        self.detail = ""
        """The last error in words; empty: none."""
        self.takeover: Takeover = "none"
        """Whether a new worker is to take over, or the last one that tried has failed."""
        self._worker: WorkerProcess | None = None
        self._replacement_wanted = asyncio.Event()
        self._reason = ""
        """Of the wanted replacement."""

    @property
    def pid(self) -> int | None:
        """The process id of the current worker; None while no process runs."""
        return self._worker.pid if self._worker is not None else None

    def replace(
        self, reason: str, config: InferenceConfig | None = None, privacy: Privacy | None = None
    ) -> None:
        """Start a new worker that takes over, with a new configuration if one is given.

        The log says the `reason`. Call it in the event loop.
        """
        if config is not None:
            self._config = config
            self.detail = ""
        self.takeover = "pending"
        self._privacy = self._privacy if privacy is None else privacy
        self._reason = reason
        self._replacement_wanted.set()

    async def run(self) -> None:
        """Keep a worker alive until cancelled; then end it and publish its detections."""
        faults = 0
        watch = asyncio.create_task(self._watch_model_files(), name="inference-watch")
        try:
            while True:
                ready_s: float | None = None
                try:
                    await self._run_workers()
                except WorkerFaultError as fault:
                    if self._worker is not None and self._worker.ready.is_set():
                        ready_s = self._worker.ready_s
                    healthy = ready_s is not None and time.monotonic() - ready_s >= HEALTHY_S
                    faults = 1 if healthy else faults + 1
                    metrics.RESTARTS.labels(fault.reason).inc()
                    delay_s = RESTART_BACKOFF.delay_s(faults - 1, random.random())  # noqa: S311
                    self.state = "waiting"
                    self.detail = str(fault)
                    self.takeover = "none"
                    log.error("%s Starting again in %.1f s; recording continues.", fault, delay_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay_s):
                        await self._replacement_wanted.wait()
        finally:
            self.state = "stopped"
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _run_workers(self) -> None:
        """Run one worker after another; always raises WorkerFaultError or CancelledError."""
        self.state = "loading"
        self.takeover = "none"
        self._replacement_wanted.clear()
        self._worker = WorkerProcess(
            self._config, self._privacy, self._on_detections, self._on_frames
        )
        worker_tasks = [asyncio.create_task(self._worker.run(), name="inference-worker")]
        sending: asyncio.Task[None] | None = None
        try:
            await _wait_unless_ended(self._worker.ready, worker_tasks[0])
            handover = Handover(self._worker)
            self._use(self._worker)
            self.frames.open()
            sending = asyncio.create_task(handover.run(self.frames), name="inference-send")
            while True:
                await self._until_replacement(worker_tasks[0], sending)
                await self._take_over(handover, worker_tasks)
        finally:
            self.frames.close()
            metrics.UP.set(0)
            tasks = [*worker_tasks, *([sending] if sending else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _use(self, worker: WorkerProcess) -> None:
        self._worker = worker
        log.info("Inference works: model %s, version %s, on %s.", *worker.detector)
        set_detector_info(*worker.detector)
        self.state = "working"
        self.detail = ""
        metrics.UP.set(1)

    async def _until_replacement(
        self, worker_task: "asyncio.Task[None]", sending: "asyncio.Task[None]"
    ) -> None:
        """Return when a new worker is to take over; raises what ended the current one."""
        while not self._replacement_wanted.is_set():
            wanted = asyncio.create_task(self._replacement_wanted.wait())
            await asyncio.wait(
                {worker_task, sending, wanted},
                timeout=_CHECK_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            wanted.cancel()
            for task in (worker_task, sending):
                if task.done():
                    task.result()
                    raise WorkerFaultError("crashed", "The inference process ended.")
            if reason := self._recycle_reason():
                self.replace(reason)

    def _recycle_reason(self) -> str:
        """Return why the worker must be recycled; empty: it need not."""
        worker, config = self._worker, self._config
        if worker is None:
            return ""
        age_s = time.monotonic() - worker.ready_s
        max_mib = config.recycle_mib
        if max_mib is not None and worker.memory_mib > max_mib and age_s >= RECYCLE_AGAIN_S:
            return f"it uses {worker.memory_mib} MiB, more than recycle_mib {max_mib}"
        if config.recycle_h is not None and age_s >= config.recycle_h * 3_600:
            return f"it is {config.recycle_h:g} h old"
        return ""

    async def _take_over(
        self, handover: Handover, worker_tasks: "list[asyncio.Task[None]]"
    ) -> None:
        """Start a new worker in parallel to the old one; worker_tasks[0] is the one in use."""
        self._replacement_wanted.clear()
        old = self._worker
        log.info("A new inference process will take over: %s.", self._reason)
        new = WorkerProcess(self._config, self._privacy, self._on_detections, self._on_frames)
        worker_tasks.append(asyncio.create_task(new.run(), name="inference-worker"))
        old_task, new_task = worker_tasks
        try:
            await _wait_unless_ended(new.ready, new_task, old_task)
        except WorkerFaultError as fault:
            if old_task.done():
                raise
            worker_tasks.remove(new_task)
            metrics.SWAPS.labels("refused").inc()
            # A newer request may already wait: it decides next.
            self.takeover = "pending" if self._replacement_wanted.is_set() else "failed"
            self.detail = f"Not taken over: {fault}"
            log.error("%s The previous inference process continues.", fault)
            return
        self._use(new)
        self.takeover = "pending" if self._replacement_wanted.is_set() else "none"
        metrics.SWAPS.labels("taken").inc()
        handover.move_to(new)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_S):
                await _wait_unless_ended(handover.done, new_task, old_task)
        handover.stop_waiting()
        assert old is not None
        old.finish()
        await asyncio.wait({old_task}, timeout=FINISH_S)
        old_task.cancel()
        await asyncio.gather(old_task, return_exceptions=True)
        worker_tasks.remove(old_task)

    async def _watch_model_files(self) -> None:
        """Request a new worker when the model's files have changed and do not change any more."""
        watched_model: str | None = None
        loaded: Fingerprint = ()
        before: Fingerprint = ()
        while True:
            model = self._config.model
            now = await asyncio.to_thread(fingerprint, model)
            if model != watched_model:  # at first, and with each new configuration
                watched_model = model
                loaded = now
            # Two equal fingerprints in a row: the files are not being written any more.
            elif now != loaded and now == before and self._config.watch_s:
                loaded = now
                self.replace("the model's files have changed")
            before = now
            await asyncio.sleep(self._config.watch_s or _UNWATCHED_S)


async def _wait_unless_ended(event: asyncio.Event, *worker_tasks: "asyncio.Task[None]") -> None:
    """Wait for an event; raises what ended one of the workers if that comes first."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, *worker_tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in worker_tasks:
            if task.done():
                task.result()
                raise WorkerFaultError("crashed", "The inference process ended.")
    finally:
        waiting.cancel()
