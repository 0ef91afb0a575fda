"""Keeps a worker at work: starts, restarts and replaces it. Recording never waits for it.

start ─► loading ─► working ─► gone (crash, hang, model fault)
  ▲                  │   ▲       │ killed, feed closed
  │                  ▼   │       │
  │   another loads beside it    │ jittered back-off, or at once when asked
  │   and takes over once warm   │
  └──────────────────────────────┘
Another one takes over when the model's files change, when asked, and when the worker has grown too
large or too old. One that fails leaves the old one at work and says why.
"""

import asyncio
import contextlib
import logging
import random
import time
from typing import Literal

from edge_bridge.config.inference import InferenceConfig
from edge_bridge.inference import metrics
from edge_bridge.inference.errors import WorkerFaultError, wait_s
from edge_bridge.inference.frame_queue import FrameQueue
from edge_bridge.inference.handover import Handover
from edge_bridge.inference.model_files import Fingerprint, fingerprint
from edge_bridge.inference.worker_process import OnDetections, Privacy, WorkerProcess
from vision.metrics import set_detector_info

log = logging.getLogger(__name__)

HEALTHY_S = 60.0
"""After working this long, the next fault is a first one again."""
HANDOVER_S = 15.0
"""How long cameras have for their next keyframe when another worker takes over."""
FINISH_S = 10.0
"""How long the old one then has for what it holds."""
RECYCLE_AGAIN_S = 600.0
"""A worker is not replaced for its size before this age: the bound may be too small for it."""
_AGE_S = 1.0
_UNWATCHED_S = 5.0

State = Literal["stopped", "loading", "working", "waiting"]
Takeover = Literal["none", "pending", "failed"]


class WorkerSupervisor:
    """The workers as the recording process sees them: `feed` takes packets, `run` keeps one."""

    def __init__(
        self,
        config: InferenceConfig,
        on_detections: OnDetections,
        privacy: Privacy | None = None,
    ) -> None:
        """`on_detections` keeps an event durably (the outbox); its faults are logged.

        `privacy`: the whole id of a camera -> what nobody may look at.
        """
        self._config, self._on_detections = config, on_detections
        self._privacy: Privacy = privacy or {}
        self.feed = FrameQueue(config.max_queue)
        self.state: State = "stopped"
        self.detail = ""
        """The last fault in words, or nothing."""
        self.takeover: Takeover = "none"
        """Whether another worker is to take over, or the last one that tried has failed."""
        self._child: WorkerProcess | None = None
        self._wanted = asyncio.Event()
        self._why = ""

    @property
    def pid(self) -> int | None:
        """The process id of the worker at work, None while there is none."""
        return self._child.pid if self._child is not None else None

    def replace(
        self, why: str, config: InferenceConfig | None = None, privacy: Privacy | None = None
    ) -> None:
        """Let another worker take over once it is warm, with a new configuration if one is given.

        `why` is said in the log. Call it in the event loop.
        """
        if config is not None:
            self._config = config
            self.detail = ""
        self.takeover = "pending"
        self._privacy = self._privacy if privacy is None else privacy
        self._why = why
        self._wanted.set()

    async def run(self) -> None:
        """Keep a worker alive until cancelled; then end it and hand on what it had found."""
        faults = 0
        watch = asyncio.create_task(self._watch(), name="inference-watch")
        try:
            while True:
                worked_since_s: float | None = None
                try:
                    await self._live()
                except WorkerFaultError as fault:
                    if self._child is not None and self._child.ready.is_set():
                        worked_since_s = self._child.ready_s
                    healthy = worked_since_s is not None and (
                        time.monotonic() - worked_since_s >= HEALTHY_S
                    )
                    faults = 1 if healthy else faults + 1
                    metrics.RESTARTS.labels(fault.reason).inc()
                    pause_s = wait_s(faults, random.random())  # noqa: S311
                    self.state = "waiting"
                    self.detail = str(fault)
                    self.takeover = "none"
                    log.error("%s Trying again in %.1f s; recording goes on.", fault, pause_s)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wanted.wait()
        finally:
            self.state = "stopped"
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _live(self) -> None:
        """Work with one worker after another; always raises FaultError or CancelledError."""
        self.state = "loading"
        self.takeover = "none"
        self._wanted.clear()
        self._child = WorkerProcess(self._config, self._privacy, self._on_detections)
        lives = [asyncio.create_task(self._child.run(), name="inference-worker")]
        carrying: asyncio.Task[None] | None = None
        try:
            await _until(self._child.ready, lives[0])
            handover = Handover(self._child)
            self._work_with(self._child)
            self.feed.open()
            carrying = asyncio.create_task(handover.carry(self.feed), name="inference-send")
            while True:
                await self._until_wanted(lives[0], carrying)
                await self._take_over(handover, lives)
        finally:
            self.feed.close()
            metrics.UP.set(0)
            ending = [*lives, *([carrying] if carrying else [])]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)

    def _work_with(self, child: WorkerProcess) -> None:
        self._child = child
        log.info("Inference works: model %s, version %s, on %s.", *child.detector)
        set_detector_info(*child.detector)
        self.state, self.detail = "working", ""
        metrics.UP.set(1)

    async def _until_wanted(
        self, life: "asyncio.Task[None]", carrying: "asyncio.Task[None]"
    ) -> None:
        """Return when another worker is to take over; raises what ended this one."""
        while not self._wanted.is_set():
            asked = asyncio.create_task(self._wanted.wait())
            await asyncio.wait(
                {life, carrying, asked}, timeout=_AGE_S, return_when=asyncio.FIRST_COMPLETED
            )
            asked.cancel()
            for task in (life, carrying):
                if task.done():
                    task.result()
                    raise WorkerFaultError("crashed", "The inference process ended.")
            if why := self._outlived():
                self.replace(why)

    def _outlived(self) -> str:
        """Say why the worker has to be recycled, or nothing."""
        child, config = self._child, self._config
        if child is None:
            return ""
        age_s = time.monotonic() - child.ready_s
        most = config.recycle_mib
        if most is not None and child.memory_mib > most and age_s >= RECYCLE_AGAIN_S:
            return f"it holds {child.memory_mib} MiB, more than recycle_mib {most}"
        if config.recycle_h is not None and age_s >= config.recycle_h * 3_600:
            return f"it is {config.recycle_h:g} h old"
        return ""

    async def _take_over(self, handover: Handover, lives: "list[asyncio.Task[None]]") -> None:
        """Start another worker beside the one at work; lives[0] is the one at work afterwards."""
        self._wanted.clear()
        old = self._child
        log.info("Another inference process is to take over: %s.", self._why)
        new = WorkerProcess(self._config, self._privacy, self._on_detections)
        lives.append(asyncio.create_task(new.run(), name="inference-worker"))
        old_life, new_life = lives
        try:
            await _until(new.ready, new_life, old_life)
        except WorkerFaultError as fault:
            if old_life.done():
                raise
            lives.remove(new_life)
            metrics.SWAPS.labels("refused").inc()
            # A newer request may already wait: it decides next.
            self.takeover = "pending" if self._wanted.is_set() else "failed"
            self.detail = f"Not taken over: {fault}"
            log.error("%s The inference process of before goes on.", fault)
            return
        self._work_with(new)
        self.takeover = "pending" if self._wanted.is_set() else "none"
        metrics.SWAPS.labels("taken").inc()
        handover.move_to(new)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANDOVER_S):
                await _until(handover.done, new_life, old_life)
        handover.settle()
        assert old is not None
        old.finish()
        await asyncio.wait({old_life}, timeout=FINISH_S)
        old_life.cancel()
        await asyncio.gather(old_life, return_exceptions=True)
        lives.remove(old_life)

    async def _watch(self) -> None:
        """Ask for another worker when the model's files have changed and come to rest."""
        watched: str | None = None
        known: Fingerprint = ()
        before: Fingerprint = ()
        while True:
            model = self._config.model
            now = await asyncio.to_thread(fingerprint, model)
            if model != watched:  # at first, and with each new configuration
                watched, known = model, now
            elif now != known and now == before and self._config.watch_s:
                known = now
                self.replace("the model's files have changed")
            before = now
            await asyncio.sleep(self._config.watch_s or _UNWATCHED_S)


async def _until(event: asyncio.Event, *lives: "asyncio.Task[None]") -> None:
    """Wait for an event; raises what ended one of the workers if that comes first."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, *lives}, return_when=asyncio.FIRST_COMPLETED)
        for life in lives:
            if life.done():
                life.result()
                raise WorkerFaultError("crashed", "The inference process ended.")
    finally:
        waiting.cancel()
