"""Starts, watches and restarts the worker; hands its detections on. Recording never waits for it.

start ─► loading ─► working ─► gone (crash, hang, model fault)
  ▲                              │ killed, feed closed
  └──── jittered back-off ◄──────┘
"""

import asyncio
import contextlib
import logging
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Literal

from pydantic import ValidationError

from domain.errors import VigilError
from domain.events import Detection, DetectionFrame
from edge_bridge.inference import metrics, wire
from edge_bridge.inference.batch import Batcher
from edge_bridge.inference.config import InferenceConfig
from edge_bridge.inference.feed import PacketFeed
from vision.metrics import announce

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
HEALTHY_S = 60.0
"""After working this long, the next fault is a first one again."""
_STOP_S = 2.0
_FLUSH_S = 0.25

OnDetections = Callable[[Detection], Awaitable[None]]
State = Literal["stopped", "loading", "working", "waiting"]


class _FaultError(VigilError):
    """The worker has to be ended; `reason` is a word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def wait_s(faults: int, chance: float) -> float:
    """Return how long to wait after so many faults in a row; `chance` 0..1 spreads it by half."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(faults - 1, 16)) * (0.5 + chance))


def _how(code: int | None) -> str:
    """Say how a process ended."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return "closed its socket" if code is None else f"ended with code {code}"


class Inference:
    """The worker as the recording process sees it: `feed` takes packets, `run` keeps it alive."""

    def __init__(self, config: InferenceConfig, on_detections: OnDetections) -> None:
        """`on_detections` keeps an event durably (the outbox); its faults are logged."""
        self._config, self._on_detections = config, on_detections
        self.feed = PacketFeed(config.max_queue)
        self.state: State = "stopped"
        self.detail = ""
        """The last fault in words, or nothing."""
        self._process: asyncio.subprocess.Process | None = None
        self._batcher: Batcher | None = None
        self._worked_since_s: float | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Keep the worker alive until cancelled; then end it and hand on what it had found."""
        faults = 0
        try:
            while True:
                try:
                    await self._live()
                except _FaultError as fault:
                    healthy = self._worked_since_s is not None and (
                        time.monotonic() - self._worked_since_s >= HEALTHY_S
                    )
                    faults = 1 if healthy else faults + 1
                    metrics.RESTARTS.labels(fault.reason).inc()
                    pause_s = wait_s(faults, random.random())  # noqa: S311
                    self.state, self.detail = "waiting", str(fault)
                    log.error("%s Trying again in %.1f s; recording goes on.", fault, pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self.state = "stopped"

    async def _live(self) -> None:
        """Run one worker from start to end; always raises _FaultError or CancelledError."""
        self.state, self._worked_since_s = "loading", None
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "edge_bridge.inference",
                str(theirs.fileno()),
                str(self._config.nice),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            ours.close()
            raise _FaultError("start", f"Inference cannot be started: {error}.") from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            writer.write(wire.pack({"config": self._config.model_dump(mode="json")}))
            await self._converse(reader, writer)
        except wire.ClosedError as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            how = _how(self._process.returncode)
            raise _FaultError("crashed", f"The inference process {how}.") from error
        finally:
            self.feed.close()
            metrics.UP.set(0)
            writer.transport.abort()
            await self._end(self._process)
            await self._hand_on(self._batcher.rest() if self._batcher else [])
            self._batcher = None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks = [
            asyncio.create_task(self._listen(reader), name="inference-listen"),
            asyncio.create_task(self._send(writer), name="inference-send"),
            asyncio.create_task(self._flush(), name="inference-flush"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:  # the listener first: it knows best why
                if task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        limit_s = self._config.start_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    header, _ = await wire.read(reader)
                await self._heed(header)
            except TimeoutError as error:
                raise _FaultError(
                    "hung", f"Inference said nothing for {limit_s:g} s and was ended."
                ) from error
            except (wire.WireError, ValidationError, KeyError, TypeError, ValueError) as error:
                raise _FaultError(
                    "garbled", f"Inference sent no valid message: {error}."
                ) from error
            limit_s = self._config.hang_s if self.state == "working" else limit_s

    async def _heed(self, header: wire.Header) -> None:
        match header["type"]:
            case "ready":
                self._ready(header["model"], header["model_version"], header["provider"])
            case "frames":
                await self._frames(header)
            case "beat":
                metrics.RATE.set(header["rate_fps"])
                metrics.LAG.set(header["lag_s"])
                for camera, outcomes in header["outcomes"].items():
                    for outcome, count in outcomes.items():
                        metrics.PICTURES.labels(camera, outcome).inc(count)
            case "fatal":
                raise _FaultError("model", str(header["message"]))
            case other:
                raise ValueError(f"type {other!r}")

    def _ready(self, model: str, version: str, provider: str) -> None:
        log.info("Inference works: model %s, version %s, on %s.", model, version, provider)
        announce(model, version, provider)
        self._batcher = Batcher(model, version)
        self._worked_since_s = time.monotonic()
        self.state, self.detail = "working", ""
        metrics.UP.set(1)
        self.feed.open()

    async def _frames(self, header: wire.Header) -> None:
        if self._batcher is None:
            raise ValueError("frames before ready")
        frames = [DetectionFrame.model_validate(frame) for frame in header["frames"]]
        camera, run = header["camera"], header["run"]
        for frame in frames:
            for found in frame.objects:
                metrics.OBJECTS.labels(camera, found.label).inc()
        await self._hand_on(self._batcher.add(camera, run, frames, time.monotonic()))

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            one = await self.feed.take()
            header = {
                "camera": one.camera,
                "run": one.run,
                "pts": one.pts,
                "at_ms": one.at_ms,
                "keyframe": one.keyframe,
                "codec": one.codec,
                "extradata": len(one.extradata),
                "fresh": one.fresh,
                "offered_s": one.offered_s,
            }
            writer.write(wire.pack(header, one.extradata + one.packet))
            try:
                await writer.drain()
            except ConnectionError as error:
                raise wire.ClosedError("the inference process closed its end") from error

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            if self._batcher is not None:
                await self._hand_on(self._batcher.due(time.monotonic()))

    async def _hand_on(self, events: list[Detection]) -> None:
        for event in events:
            try:
                await self._on_detections(event)
            except VigilError as error:
                metrics.LOST.inc()
                log.error("%s: detections are lost: %s", event.camera, error)
            except Exception:  # whatever it is, inference goes on
                metrics.LOST.inc()
                log.exception("%s: detections are lost", event.camera)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """End the worker: it leaves by itself when its socket closes, or is killed."""
        if self.state == "working":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
