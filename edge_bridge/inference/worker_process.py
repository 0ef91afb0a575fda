"""One worker as the recording process sees it: started, listened to, ended."""

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
from edge_bridge.inference import ipc, metrics
from edge_bridge.inference.batcher import Batcher
from edge_bridge.inference.errors import WorkerFaultError, exit_text
from edge_bridge.inference.frame_queue import QueuedFrame

log = logging.getLogger(__name__)

_STOP_S = 2.0
_FLUSH_S = 0.25

OnDetections = Callable[[Detection], Awaitable[None]]
Privacy = Mapping[str, Sequence[Mask]]


class WorkerProcess:
    """`run` is one worker's whole life; `send` gives it packets once it is `ready`."""

    def __init__(
        self, config: InferenceConfig, privacy: Privacy, on_detections: OnDetections
    ) -> None:
        self._config, self._privacy, self._on_detections = config, privacy, on_detections
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._batcher: Batcher | None = None
        self._finishing = False
        self.ready = asyncio.Event()
        """Set once the model is loaded and warm."""
        self.detector = ("", "", "")
        """Model, version, provider, once it is ready."""
        self.ready_s = 0.0
        """Monotonic clock when it became ready."""
        self.memory_mib = 0
        """Resident memory, as it said last."""

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Live from start to end; returns only after `finish`, else raises FaultError.

        However it ends, no process is left behind and what was found is handed on.
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
            await self._converse(reader)
        except ipc.PeerClosedError as error:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            if not self._finishing:
                ended = exit_text(self._process.returncode)
                raise WorkerFaultError("crashed", f"The inference process {ended}.") from error
        finally:
            self._writer.transport.abort()
            await self._end(self._process)
            await self._hand_on(self._batcher.rest() if self._batcher else [])

    async def send(self, one: QueuedFrame, *, fresh: bool) -> None:
        """Hand a packet over, waiting while the worker cannot take it; raises ClosedError."""
        assert self._writer is not None
        picture, parameters = one.picture, one.picture.codec_parameters
        header = {
            "camera": picture.camera,
            "run": picture.run,
            "pts": picture.pts,
            "at_ms": picture.at_ms,
            "keyframe": picture.keyframe,
            "codec": parameters.codec,
            "extradata": len(parameters.extradata),
            "fresh": fresh,
            "offered_s": one.offered_s,
        }
        try:
            self._writer.write(ipc.pack(header, parameters.extradata + picture.data))
            await self._writer.drain()
        except (ConnectionError, RuntimeError) as error:  # the latter after `finish`
            raise ipc.PeerClosedError("the inference process closed its end") from error

    def finish(self) -> None:
        """Say that no more comes: the worker looks at what it has, tells it, and ends."""
        self._finishing = True
        if self._writer is not None and self._writer.can_write_eof():
            with contextlib.suppress(OSError):
                self._writer.write_eof()

    async def _converse(self, reader: asyncio.StreamReader) -> None:
        tasks = [
            asyncio.create_task(self._listen(reader), name="inference-listen"),
            asyncio.create_task(self._flush(), name="inference-flush"),
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

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        limit_s = self._config.start_s
        while True:
            try:
                async with asyncio.timeout(limit_s):
                    header, _ = await ipc.read(reader)
                await self._heed(header)
            except TimeoutError as error:
                raise WorkerFaultError(
                    "hung", f"Inference said nothing for {limit_s:g} s and was ended."
                ) from error
            except (ipc.IpcError, ValidationError, KeyError, TypeError, ValueError) as error:
                raise WorkerFaultError(
                    "garbled", f"Inference sent no valid message: {error}."
                ) from error
            limit_s = self._config.hang_s if self.ready.is_set() else limit_s

    async def _heed(self, header: ipc.Header) -> None:
        match header["type"]:
            case "ready":
                self.detector = (header["model"], header["model_version"], header["provider"])
                self._batcher = Batcher(*self.detector[:2])
                self.ready_s = time.monotonic()
                self.ready.set()
            case "frames":
                await self._frames(header)
            case "beat":
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

    async def _frames(self, header: ipc.Header) -> None:
        if self._batcher is None:
            raise ValueError("frames before ready")
        frames = [DetectionFrame.model_validate(frame) for frame in header["frames"]]
        camera, run = header["camera"], header["run"]
        for frame in frames:
            for found in frame.objects:
                metrics.OBJECTS.labels(camera, found.label).inc()
        await self._hand_on(self._batcher.add(camera, run, frames, time.monotonic()))

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
        if self.ready.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
