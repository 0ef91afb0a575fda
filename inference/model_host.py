"""One model: its queue, its process, and the next one when that ends, leaks or is wrong.

infer ─► queue ─► a free slot, then a batch ─► process ─► answers
                                                 │ ended: its batches go back to the queue
                                                 │ over its memory: another one takes over
                                                 └ each minute: a known input, a known answer
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.backoff import EQUAL_JITTER, Backoff
from domain.errors import ModelError
from inference import metrics, model_process
from inference.batch_queue import BatchQueue, QueuedRequest, QueueFullError
from inference.datatypes import NUMPY
from inference.engine import MAX_WAIT_S, InferRequest, ModelMetadata, Priority
from inference.errors import (
    ComputeError,
    DeadlineError,
    InferenceError,
    NotReadyError,
    OverloadedError,
)
from inference.model_files import ModelFile
from inference.model_process import ModelProcess, ProcessEndedError, ProcessOptions
from inference.tensor_check import check_request
from vision.providers import full_names

MAX_ATTEMPTS = 2
"""A request whose processes ended this often fails: it may be what ends them."""
CHECK_EVERY_S = 60.0
CHECK_TIMEOUT_S = 20.0
_DRAIN_S = 60.0
_SAMPLE_LENGTH = 4
"""For a free dimension that no one knows."""
_TOLERANCE = 0.05
"""Of the known answer: other batch sizes and kernels differ in the last digits only."""
_RESTARTS = Backoff(first_s=0.2, longest_s=30.0, jitter=EQUAL_JITTER)
_STEADY_S = 60.0
"""A process that ran for this long was not a failed start."""

log = logging.getLogger(__name__)
_Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How the requests of a model are handled."""

    process: ProcessOptions
    batch_wait_s: float = 0.008
    """How long the first request of a batch waits for others, where batches pay."""
    recycle_mib: int = 4_096
    """A process with more memory is replaced."""
    recycle_every_s: float = 600.0
    """But not sooner than this after its start: a limit that is too low must not end in a loop."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request and who waits for its answer."""

    request: InferRequest
    answer: asyncio.Future[_Tensors]


class ModelHost:
    """Computes the requests of one model."""

    def __init__(self, file: ModelFile, options: HostOptions) -> None:
        self.file = file
        self._options = options
        self._wanted_provider = full_names(options.process.providers)[0]
        self._queue: BatchQueue[_Waiting] = BatchQueue()
        self._arrived = asyncio.Event()
        self._process: ModelProcess | None = None
        self._process_changed = asyncio.Event()
        self._metadata: ModelMetadata | None = None
        self.last_batch_s = 0.0
        """How long the model computed the last batch, seconds."""
        self._row_s = 0.0
        """What a row took lately, seconds, all runners together."""
        self._known_answer: _Tensors | None = None
        self._check_problem = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._batches: set[asyncio.Task[None]] = set()

    @property
    def metadata(self) -> ModelMetadata:
        """What is known of the model; raises NotReadyError before it was loaded once."""
        if self._metadata is None:
            raise NotReadyError(f"Model {self.file.name} is still being loaded.")
        return self._metadata

    @property
    def problem(self) -> str:
        """Why the model is not ready; empty: it is."""
        process = self._process
        if process is None or process.ended.is_set():
            return "Its process is being started."
        if process.provider != self._wanted_provider:
            return f"{process.provider} computes instead of {self._wanted_provider}."
        return self._check_problem

    @property
    def process(self) -> ModelProcess | None:
        """The process that computes now."""
        return self._process

    async def load(self) -> None:
        """Load the model and check it; raises ModelError."""
        self._use(await self._start("start"))
        await self._check()
        for work in (self._dispatch(), self._supervise(), self._check_forever()):
            self._tasks.append(asyncio.create_task(work))
        if self._check_problem:
            raise ModelError(f"Model {self.file.name}: {self._check_problem}")

    async def close(self) -> None:
        """End the process; what waits fails."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._process is not None:
            await self._process.close()
        await asyncio.gather(*self._batches, return_exceptions=True)
        for queued in self._queue.drain():
            _fail(queued, NotReadyError("Inference is being stopped."))

    async def infer(self, request: InferRequest) -> _Tensors:
        """Return the outputs; see `inference/engine.py`. Cancelling it leaves the queue."""
        rows = check_request(request, self.metadata)
        waiting = _Waiting(request, asyncio.get_running_loop().create_future())
        shapes = tuple((name, value.shape[1:]) for name, value in sorted(request.inputs.items()))
        key = (shapes, tuple(request.outputs))
        try:
            queued = self._queue.put(waiting, rows, request.priority, key, time.monotonic())
        except QueueFullError:
            waiting_rows = self._queue.rows
            raise OverloadedError(
                f"Model {self.file.name} has {waiting_rows} pictures waiting. Try again later.",
                max(0.05, waiting_rows * self._row_s),
            ) from None
        self._count_queue(request.priority)
        self._arrived.set()
        limit_s = MAX_WAIT_S if request.timeout_s is None else min(request.timeout_s, MAX_WAIT_S)
        try:
            async with asyncio.timeout(limit_s):
                return await waiting.answer
        except TimeoutError:
            raise DeadlineError(
                f"Model {self.file.name} did not answer within {limit_s:g} s."
            ) from None
        finally:
            self._queue.remove(queued)
            self._count_queue(request.priority)

    # Batches

    async def _dispatch(self) -> None:
        while True:
            process = await self._running_process()
            try:
                slot = await process.slot()
            except ProcessEndedError:
                continue
            try:
                await self._wait_for_batch(process.best_rows)
            except asyncio.CancelledError:
                process.give_back(slot)
                raise
            if process is not self._process or process.ended.is_set():
                # It was replaced while this waited, so the slot is of no use.
                process.give_back(slot)
                continue
            batch = self._queue.next_batch(process.best_rows)
            if not batch:
                process.give_back(slot)
                continue
            suspect = batch[0].alone
            if suspect:
                await process.drain(_DRAIN_S)
            task = asyncio.create_task(self._run(process, slot, batch))
            self._batches.add(task)
            task.add_done_callback(self._batches.discard)
            if suspect:
                # Nothing else is in the process: what ends it now is this request.
                await asyncio.wait([task])

    async def _wait_for_batch(self, rows: int) -> None:
        """Wait until a batch is due: full, or its first request waited long enough."""
        while True:
            self._arrived.clear()
            arrival_s = self._queue.arrival_s()
            if arrival_s is None:
                await self._arrived.wait()
                continue
            left_s = arrival_s + self._options.batch_wait_s - time.monotonic()
            if self._queue.rows >= rows or left_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._arrived.wait()

    async def _run(
        self, process: ModelProcess, slot: int, batch: list[QueuedRequest[_Waiting]]
    ) -> None:
        now_s = time.monotonic()
        rows = sum(queued.rows for queued in batch)
        metrics.BATCH_ROWS.labels(self.file.name).observe(rows)
        for queued in batch:
            metrics.WAIT.labels(self.file.name, queued.priority.name.lower()).observe(
                now_s - queued.arrived_s
            )
            self._count_queue(queued.priority)
        first = batch[0].item.request
        inputs = {
            name: [queued.item.request.inputs[name] for queued in batch] for name in first.inputs
        }
        try:
            output = await process.run(slot, inputs, first.outputs)
        except ProcessEndedError as error:
            self._try_again(batch, str(error))
            return
        except ComputeError as error:
            self._isolate(batch, error)
            return
        except Exception as error:  # callers must not wait for ever
            log.exception("%s: a batch failed", self.file.name)
            for queued in batch:
                _fail(queued, ComputeError(f"Model {self.file.name} failed: {error}"))
            return
        metrics.COMPUTE.labels(self.file.name).observe(output.compute_s)
        self.last_batch_s = output.compute_s
        self._row_s = output.compute_s / rows / self._options.process.runners
        _distribute(batch, output.tensors)

    def _try_again(self, batch: Sequence[QueuedRequest[_Waiting]], why: str) -> None:
        for queued in batch:
            queued.attempts += 1
            if queued.attempts >= MAX_ATTEMPTS:
                _fail(queued, ComputeError(
                    f"The process of model {self.file.name} ended {queued.attempts} times while "
                    f"it computed this request. {why}"
                ))  # fmt: skip
            elif not queued.item.answer.done():
                # If it is what ends the processes, it must take no other with it again.
                queued.alone = True
                self._queue.put_back(queued)
        self._arrived.set()

    def _isolate(self, batch: Sequence[QueuedRequest[_Waiting]], error: ComputeError) -> None:
        """One request of a batch may spoil it: compute each alone."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        for queued in batch:
            if not queued.item.answer.done():
                queued.alone = True
                self._queue.put_back(queued)
        self._arrived.set()

    # The process

    async def _running_process(self) -> ModelProcess:
        while True:
            self._process_changed.clear()
            process = self._process
            if process is not None and not process.ended.is_set():
                return process
            await self._process_changed.wait()

    def _use(self, process: ModelProcess) -> None:
        self._process = process
        self._metadata = process.metadata
        self._process_changed.set()
        name, version = self.file.name, self.file.version
        for provider in {self._wanted_provider, process.provider}:
            is_fallback = provider == process.provider != self._wanted_provider
            metrics.FALLBACK.labels(name, version, provider).set(is_fallback)

    async def _start(self, reason: str) -> ModelProcess:
        metrics.STARTS.labels(self.file.name, reason).inc()
        process = await model_process.start(self.file, self._options.process)
        log.info(
            "%s %s runs on %s in process %d: batches of %d (ms a row: %s)",
            self.file.name, self.file.version, process.provider, process.pid, process.best_rows,
            process.ms_by_rows,
        )  # fmt: skip
        return process

    async def _supervise(self) -> None:
        """Start the next process when one ends, or has too much memory."""
        failures = 0
        while True:
            process = self._process
            assert process is not None
            started_s = time.monotonic()
            await self._ended_or_too_large(process, started_s + self._options.recycle_every_s)
            ended = process.ended.is_set()
            if ended:
                log.error("%s: the process ended. %s", self.file.name, process.reason)
            self._report()
            if time.monotonic() - started_s > _STEADY_S:
                failures = 0
            while True:
                if failures:
                    await asyncio.sleep(_RESTARTS.delay_s(failures - 1, random.random()))  # noqa: S311
                failures += 1
                try:
                    following = await self._start("ended" if ended else "memory")
                    break
                except ModelError as error:
                    log.error("%s cannot be loaded again: %s", self.file.name, error)
            self._use(following)
            await self._check()
            if not ended:
                await self._retire(process)
            self._report()

    async def _ended_or_too_large(self, process: ModelProcess, keep_until_s: float) -> None:
        while process.memory_mib <= self._options.recycle_mib or time.monotonic() < keep_until_s:
            self._report()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await process.ended.wait()
                    return

    async def _retire(self, process: ModelProcess) -> None:
        """Let a process finish its batches, then end it."""
        await process.drain(_DRAIN_S)
        await process.close()

    # Health

    def _report(self) -> None:
        metrics.READY.labels(self.file.name, self.file.version).set(not self.problem)
        if self._process is not None:
            metrics.MEMORY.labels(self.file.name).set(self._process.memory_mib << 20)

    def _count_queue(self, priority: Priority) -> None:
        metrics.QUEUED.labels(self.file.name, priority.name.lower()).set(
            self._queue.waiting[priority]
        )

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self._check()
            self._report()

    async def _check(self) -> None:
        """Compute a known input; another answer than the first one is a fault of the model."""
        process = self._process
        if process is None:
            return
        try:
            answer = await self._compute_known_input(process)
        except (InferenceError, ProcessEndedError) as error:
            self._set_check_problem(f"Its check failed: {error}")
            return
        broken = [name for name, value in answer.items() if not _is_finite(value)]
        if broken:
            self._set_check_problem(f"Its output {broken[0]} is not a number for a known input.")
        elif self._known_answer is None:
            self._known_answer = answer
            self._set_check_problem("")
        elif not _close(answer, self._known_answer):
            self._set_check_problem("Its answer to a known input has changed.")
        else:
            self._set_check_problem("")

    async def _compute_known_input(self, process: ModelProcess) -> _Tensors:
        """Compute it in the very process: a queue that is full says nothing about the model."""
        inputs = {name: [value] for name, value in self._known_input(process.metadata).items()}
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                output = await process.run(await process.slot(), inputs, ())
        except TimeoutError:
            raise DeadlineError(f"no answer within {CHECK_TIMEOUT_S:g} s.") from None
        return output.tensors

    def _known_input(self, metadata: ModelMetadata) -> _Tensors:
        """Return one row that is the same each time: noise from a fixed seed."""
        random_values = np.random.default_rng(20_261_130)
        row = {}
        for spec in metadata.inputs:
            shape = (1, *self.file.row_shape(spec, _SAMPLE_LENGTH))
            dtype = NUMPY[spec.datatype]
            if dtype.kind in "iub":
                top = 256 if dtype.itemsize == 1 and dtype.kind == "u" else 2
                row[spec.name] = random_values.integers(0, top, shape).astype(dtype)
            else:
                row[spec.name] = random_values.random(shape).astype(dtype)
        return row

    def _set_check_problem(self, problem: str) -> None:
        if problem and problem != self._check_problem:
            log.error("%s is not ready. %s", self.file.name, problem)
        self._check_problem = problem


def _fail(queued: QueuedRequest[_Waiting], error: InferenceError) -> None:
    if not queued.item.answer.done():
        queued.item.answer.set_exception(error)


def _distribute(batch: Sequence[QueuedRequest[_Waiting]], tensors: _Tensors) -> None:
    if len(batch) == 1:
        if not batch[0].item.answer.done():
            batch[0].item.answer.set_result(tensors)
        return
    row = 0
    for queued in batch:
        if not queued.item.answer.done():
            part = {name: value[row : row + queued.rows] for name, value in tensors.items()}
            queued.item.answer.set_result(part)
        row += queued.rows


def _is_finite(value: NDArray[Any]) -> bool:
    return value.dtype.kind != "f" or bool(np.isfinite(value).all())


def _close(found: _Tensors, known: _Tensors) -> bool:
    return set(found) == set(known) and all(
        found[name].shape == value.shape
        and np.allclose(found[name], value, _TOLERANCE, _TOLERANCE * float(np.abs(value).max()))
        for name, value in known.items()
    )
