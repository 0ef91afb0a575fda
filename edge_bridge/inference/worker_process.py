"""One worker process as the recording process sees it: start it, listen to it, end it."""

import asyncio
import contextlib
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import ValidationError

from domain.errors import VigilError
from domain.events import Detection, DetectionFrame
from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference import metrics
from edge_bridge.inference.batcher import Batcher, seconds_until_end
from edge_bridge.inference.errors import WorkerFaultError, exit_text
from edge_bridge.inference.frame_queue import QueuedFrame
from stores import ipc

log = logging.getLogger(__name__)

_STOP_S = 2.0

OnDetections = Callable[[Detection], Awaitable[None]]
OnFrames = Callable[[Detection], None]
Privacy = Mapping[str, Sequence[Mask]]


class WorkerProcess:
    """`run` is the whole life of one process; `send` gives it packets once it is `ready`."""

    def __init__(
        self,
        config: InferenceConfig,
        privacy: Privacy,
        on_detections: OnDetections,
        on_frames: OnFrames | None = None,
    ) -> None:
        self._config = config
        self._on_frames_now = on_frames
        self._privacy = privacy
        self._on_detections = on_detections
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._batcher: Batcher | None = None
        self._finishing = False
        self.ready = asyncio.Event()
        """Set once the model is loaded and has run once."""
        self.detector = ("", "", "")
        """Model, version, provider, once it is ready."""
        self.ready_s = 0.0
        """Monotonic clock when it became ready."""
        self.memory_mib = 0
        """Resident memory in its last heartbeat."""

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while no process runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Run from start to end; returns only after `finish`, else raises WorkerFaultError.

        In any case no process is left behind, and its detections are published.
        """
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
            raise WorkerFaultError("start", f"Inference cannot be started: {error}.") from error
        finally:
            theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            self._writer.write(
                ipc.pack(
                    {
                        "config": self._config.model_dump(mode="json"),
                        "privacy": {camera: [*masks] for camera, masks in self._privacy.items()},
                    }
                )
            )
            await self._exchange(reader)
        except ipc.PeerClosedError as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            if not self._finishing:
                ended = exit_text(self._process.returncode)
                raise WorkerFaultError("crashed", f"The inference process {ended}.") from error
        finally:
            self._writer.transport.abort()
            await self._stop(self._process)
            await self._publish(self._batcher.flush() if self._batcher else [])

    async def send(self, queued: QueuedFrame, *, discontinuity: bool) -> None:
        """Send a packet; waits while the worker cannot take it (back-pressure).

        Raises PeerClosedError.
        """
        assert self._writer is not None
        frame, parameters = queued.frame, queued.frame.codec_parameters
        header = {
            "camera": frame.camera,
            "run": frame.run,
            "pts": frame.pts,
            "at_ms": frame.at_ms,
            "keyframe": frame.keyframe,
            "codec": parameters.codec,
            "extradata": len(parameters.extradata),
            "discontinuity": discontinuity,
            "offered_s": queued.offered_s,
        }
        try:
            self._writer.write(ipc.pack(header, parameters.extradata + frame.data))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:  # the latter after `finish`
            raise ipc.PeerClosedError("the inference process closed its socket") from error

    def finish(self) -> None:
        """Start a graceful shutdown: the worker analyses what it has, reports it, and ends."""
        self._finishing = True
        if self._writer is not None and self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    async def _exchange(self, reader: asyncio.StreamReader) -> None:
        """Receive messages and publish batches, until one of both ends or fails."""
        tasks = [
            asyncio.create_task(self._receive(reader), name="inference-receive"),
            asyncio.create_task(self._publish_due(), name="inference-publish"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        limit_s = self._config.start_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    header, _ = await ipc.read(reader)
                await self._on_message(header)
            except TimeoutError as error:
                raise WorkerFaultError(
                    "hung", f"Inference sent nothing for {limit_s:g} s and was killed."
                ) from error
            except (ipc.IpcError, ValidationError, KeyError, TypeError, ValueError) as error:
                raise WorkerFaultError(
                    "garbled", f"Inference sent an invalid message: {error}."
                ) from error
            limit_s = self._config.hang_s if self.ready.is_set() else limit_s

    async def _on_message(self, header: ipc.Header) -> None:
        match header["type"]:
            case "ready":
                self.detector = (header["model"], header["model_version"], header["provider"])
                self._batcher = Batcher(*self.detector[:2])
                self.ready_s = time.monotonic()
                self.ready.set()
            case "frames":
                await self._on_frames(header)
            case "heartbeat":
                metrics.RATE.set(header["rate_fps"])
                metrics.LAG.set(header["lag_s"])
                self.memory_mib = int(header["memory_mib"])
                metrics.MEMORY.set(self.memory_mib << 20)
                for camera, outcomes in header["outcomes"].items():
                    for outcome, count in outcomes.items():
                        metrics.PICTURES.labels(camera, outcome).inc(count)
            case "fatal":
                raise WorkerFaultError("model", str(header["message"]))
            case other:
                raise ValueError(f"type {other!r}")

    async def _on_frames(self, header: ipc.Header) -> None:
        if self._batcher is None:
            raise ValueError("frames before ready")
        frames = [DetectionFrame.model_validate(frame) for frame in header["frames"]]
        camera, run = header["camera"], header["run"]
        for frame in frames:
            for one in frame.objects:
                metrics.OBJECTS.labels(camera, one.label).inc()
        if self._on_frames_now is not None:
            self._on_frames_now(self._batcher.event(camera, run, frames))
        await self._publish(self._batcher.add(camera, run, frames, time.monotonic()))

    async def _publish_due(self) -> None:
        while True:
            await asyncio.sleep(seconds_until_end(time.monotonic()))
            if self._batcher is not None:
                await self._publish(self._batcher.due(time.monotonic()))

    async def _publish(self, events: list[Detection]) -> None:
        for event in events:
            try:
                await self._on_detections(event)
            except VigilError as error:
                metrics.LOST.inc()
                log.error("%s: detections are lost: %s", event.camera, error)
            except Exception:  # inference must go on after any error
                metrics.LOST.inc()
                log.exception("%s: detections are lost", event.camera)

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        """End the process: it exits when its socket closes, or is killed."""
        if self.ready.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
