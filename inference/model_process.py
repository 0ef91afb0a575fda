"""One model process as its parent sees it: start it, give it batches, end it."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from domain.errors import ModelError, VigilError
from inference.engine import ModelMetadata, TensorSpec
from inference.errors import ComputeError
from inference.model_files import ModelFile
from inference.shared_memory import SlotLayout, Slots, anonymous_memory
from stores import ipc
from vision.gpu import GpuOptions

START_S = 600.0
"""A TensorRT engine may take minutes to be built."""
SILENT_S = 10.0
"""A process without heartbeats for this long is killed."""
_STOP_S = 5.0


class ProcessEndedError(VigilError):
    """The model process ended before it answered; the batch is computed again elsewhere."""


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """How a model is run."""

    providers: tuple[str, ...] = ("cpu",)
    """The first must compute; the others are for `fallback`."""
    fallback: bool = False
    """Whether the next provider may compute; the model is not ready then, but answers."""
    runners: int = 1
    """Batches at the same time; on CPUs about one for each core."""
    threads: int = 1
    """Threads of one batch."""
    nice: int = 0
    hang_s: float = 60.0
    """A batch that computes for longer ends the process."""
    gpu: GpuOptions = field(default_factory=GpuOptions)


@dataclass(frozen=True, slots=True)
class BatchOutput:
    """What a batch gave."""

    tensors: dict[str, NDArray[Any]]
    compute_s: float


@dataclass(frozen=True, slots=True)
class _Connection:
    """A process that was started, the socket to it, and the memory that both share."""

    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    memory: int
    """Descriptor; closed by who made it."""


class ModelProcess:
    """A process that has loaded one model; made by `start`."""

    def __init__(
        self,
        connection: _Connection,
        ready: Mapping[str, Any],
        file: ModelFile,
        options: ProcessOptions,
    ) -> None:
        """`ready`: the process's first message."""
        self._process = connection.process
        self._reader = connection.reader
        self._writer = connection.writer
        self._options = options
        layout = SlotLayout(*ready["memory"])
        self._slots = Slots(connection.memory, layout)
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(layout.slots):
            self._free.put_nowait(slot)
        self._pending: dict[int, asyncio.Future[tuple[ipc.Header, bytes]]] = {}
        self._abandoned: dict[int, int] = {}
        """Slots of batches whose caller was cancelled, by the batch's number."""
        self._next_batch = 0
        self.metadata = ModelMetadata(
            file.name,
            file.version,
            ready["platform"],
            tuple(TensorSpec(n, t, tuple(shape)) for n, t, shape in ready["inputs"]),
            tuple(TensorSpec(n, t, tuple(shape)) for n, t, shape in ready["outputs"]),
            ready["max_rows"],
        )
        self.best_rows: int = ready["best_rows"]
        self.ms_by_rows: dict[str, float] = ready["ms_by_rows"]
        self.provider: str = ready["provider"]
        """The execution provider that computes; see `vision/providers.py`."""
        self.memory_mib = 0
        self.ended = asyncio.Event()
        """Set once the process is gone."""
        self.reason = ""
        """Why it ended, for a log."""
        self._listener = asyncio.create_task(self._listen(), name="inference-process")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def slot(self) -> int:
        """Wait for a free slot and take it; raises ProcessEndedError."""
        taking = asyncio.ensure_future(self._free.get())
        ending = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait((taking, ending), return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                return taking.result()
            raise ProcessEndedError(self.reason)
        finally:
            ending.cancel()
            if not taking.done():
                taking.cancel()

    def give_back(self, slot: int) -> None:
        """Return a slot that is not used after all."""
        self._free.put_nowait(slot)

    async def run(
        self, slot: int, inputs: Mapping[str, Sequence[NDArray[Any]]], outputs: Sequence[str]
    ) -> BatchOutput:
        """Compute a batch whose inputs are given in parts; the slot is free afterwards.

        Raises ComputeError where the model failed, ProcessEndedError where the process did.
        """
        if self.ended.is_set():
            raise ProcessEndedError(self.reason)
        number = self._next_batch
        self._next_batch += 1
        headers, rest = self._slots.write_inputs(slot, inputs)
        answered = asyncio.get_running_loop().create_future()
        self._pending[number] = answered
        order = {"type": "batch", "batch": number, "slot": slot, "tensors": headers,
                 "outputs": list(outputs)}  # fmt: skip
        with contextlib.suppress(ConnectionError):  # then `_listen` ends the batch
            self._writer.write(ipc.pack(order, rest))
        try:
            header, body = await answered
        except asyncio.CancelledError:
            # The process may read or write the slot until it answers: `_handle` frees it.
            self._abandoned[number] = slot
            raise
        finally:
            self._pending.pop(number, None)
        try:
            if header["type"] == "failed":
                raise ComputeError(str(header["message"]))
            tensors = self._slots.read_outputs(slot, header["tensors"], body)
            return BatchOutput(tensors, float(header["compute_s"]))
        finally:
            self._free.put_nowait(slot)

    async def drain(self, within_s: float) -> None:
        """Wait until its batches are computed, at most `within_s`."""
        if self._pending:
            await asyncio.wait(set(self._pending.values()), timeout=within_s)

    async def close(self) -> None:
        """End the process; batches that it computes fail with ProcessEndedError."""
        self._writer.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await self._process.wait()
        _kill(self._process)
        await self._process.wait()
        await self._listener

    async def _listen(self) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENT_S):
                        header, body = await ipc.read(self._reader)
                except TimeoutError:
                    self.reason = f"It sent nothing for {SILENT_S:g} s."
                    return
                self._handle(header, body)
                if self.reason:
                    return
        except ipc.PeerClosedError:
            await self._process.wait()
            self.reason = f"It ended with code {self._process.returncode}."
        except (ipc.IpcError, KeyError, TypeError, ValueError) as error:
            self.reason = f"It sent an invalid message: {error}."
        finally:
            _kill(self._process)
            self.ended.set()
            for answered in self._pending.values():
                if not answered.done():
                    answered.set_exception(ProcessEndedError(self.reason))
            self._writer.close()
            self._slots.close()

    def _handle(self, header: ipc.Header, body: bytes) -> None:
        if header["type"] == "heartbeat":
            self.memory_mib = int(header["memory_mib"])
            self.provider = str(header["provider"])
            if header["busy_s"] > self._options.hang_s:
                self.reason = f"A batch computed for over {self._options.hang_s:g} s."
            return
        number = header["batch"]
        if number in self._abandoned:
            self._free.put_nowait(self._abandoned.pop(number))
        elif not (answered := self._pending[number]).done():
            answered.set_result((header, body))


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def start(file: ModelFile, options: ProcessOptions) -> ModelProcess:
    """Start a process and wait until it has loaded the model; raises ModelError."""
    memory = anonymous_memory(f"vigil-{file.name}")
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "inference", str(theirs.fileno()), str(memory),
            pass_fds=(theirs.fileno(), memory),
            stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        ours.close()
        os.close(memory)
        raise ModelError(f"The process of model {file.name} cannot be started: {error}.") from error
    finally:
        theirs.close()
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
    try:
        writer.write(ipc.pack(_load_order(file, options)))
        async with asyncio.timeout(START_S):
            ready, _ = await ipc.read(reader)
        if ready.get("type") == "fatal":
            raise ModelError(str(ready["message"]))
        return ModelProcess(_Connection(process, reader, writer, memory), ready, file, options)
    except BaseException as error:
        _kill(process)
        writer.close()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise ModelError(f"Model {file.name} was not loaded within {START_S:g} s.") from error
        if isinstance(error, ipc.PeerClosedError):
            raise ModelError(
                f"The process of model {file.name} ended while it loaded the model "
                f"(code {process.returncode}). Its log has the reason."
            ) from error
        raise
    finally:
        os.close(memory)


def _load_order(file: ModelFile, options: ProcessOptions) -> ipc.Header:
    gpu = options.gpu
    return {
        "type": "load",
        "name": file.name,
        "version": file.version,
        "path": str(file.path),
        "sample_shapes": file.sample_shapes,
        "providers": options.providers,
        "fallback": options.fallback,
        "runners": options.runners,
        "threads": options.threads,
        "nice": options.nice,
        "gpu": {
            "device": gpu.device,
            "memory_mib": gpu.memory_mib,
            "half": gpu.half,
            "engine_cache": str(gpu.engine_cache) if gpu.engine_cache else "",
        },
    }
