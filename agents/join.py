"""The joiner's stage: `chunk-due` in, `chunk-complete` out: `faust -A agents.join worker`.

`chunk-complete` is sent after the object and its manifest are in S3. One camera's chunks are made
in their order. Several cameras are joined in parallel, as many as memory allows.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from prometheus_client import Counter

from agents.consistency.fsck import MARGIN_MS
from agents.joining.concurrency import run_all
from agents.joining.join_errors import (
    NothingInWindowError,
    NothingToJoinError,
    WindowDeletedError,
)
from agents.joining.joiner import Joiner
from agents.signatures.checker import SignatureChecker
from domain.chunks import late_due
from domain.errors import InvalidEventError
from domain.events import AnyEvent, ChunkComplete, ChunkDue, FragmentArrived
from domain.rechunk import in_existing_windows
from domain.times import utc_ms
from stores.catalog.camera_windows import camera_windows
from stores.catalog.rechunk import chunks_of_other_length
from streams import codec, logs, topics, tracing
from streams.app import worker_app
from streams.batch_handlers import Arrival, handles_batch
from streams.codec import Record
from streams.metrics import REGISTRY, REVISIONS
from streams.retry import Interrupted
from streams.storage import catalog, object_store

MAX_EVENTS = 32
"""Events of one partition that are handled together."""
LARGE_BYTES = 8 << 20
"""A chunk above this size counts as large: joining it takes up to 64 MiB of memory."""
MAX_LARGE_JOINS = 2
MAX_SMALL_JOINS = 12
"""Concurrency limits. A small chunk takes its own size of memory."""

log = logging.getLogger(__name__)
JOINED = Counter("vigil_chunks_joined", "Chunks written to S3", ("reason",), registry=REGISTRY)
PASSED_OVER = Counter(
    "vigil_chunks_passed_over", "Chunks not made because retention deleted them", registry=REGISTRY
)
JOINED_BYTES = Counter("vigil_chunk_bytes", "Bytes of the chunks joined", registry=REGISTRY)

app = worker_app("join")
store = object_store(app.settings)
index = catalog(app.settings)
signatures = SignatureChecker.of(index.get)
FINAL = (NothingInWindowError, NothingToJoinError, WindowDeletedError)
_large = asyncio.Semaphore(MAX_LARGE_JOINS)
_small = asyncio.Semaphore(MAX_SMALL_JOINS)


def check(event: AnyEvent, record: Record) -> None:
    """Refuse events that are not `chunk-due`."""
    if not isinstance(event, ChunkDue):
        raise InvalidEventError(f"type: {event.type} cannot be joined")


@handles_batch(app, topics.CHUNK_DUE, most=MAX_EVENTS, check=check, reroute=True)
async def join(arrivals: Sequence[Arrival]) -> None:
    """Join chunks and send `chunk-complete` for each."""
    by_camera: dict[bytes | None, list[Arrival]] = {}
    for arrival in arrivals:
        by_camera.setdefault(arrival.record.key, []).append(arrival)
    await run_all(_join_in_order(each) for each in by_camera.values())


async def _join_in_order(arrivals: Sequence[Arrival]) -> None:
    for event, record in arrivals:
        assert isinstance(event, ChunkDue)
        if app.consumer.interrupted.is_set():
            raise Interrupted("given back")
        with logs.LogContext(record, event):
            for due in await _in_existing_windows(event):
                await _join(due)
        if tracing.tracer is not None:
            for fragment in event.fragments:
                tracing.tracer.add(
                    "join", event.run, fragment.seq, record.timestamp_ms,
                    chunk=event.window_start_ms, reason=event.reason,
                )  # fmt: skip


async def _in_existing_windows(event: ChunkDue) -> list[ChunkDue]:
    """Return the event, split by the windows that `vigil replay chunks` may have made since.

    A replay does not touch windows that ended just now, so these need no query of the catalog.
    """
    now_ms = utc_ms()
    if event.window_start_ms + event.window_ms + MARGIN_MS > now_ms:
        return [event]
    opened_catalog = await app.retry(index.get, what="open catalog")
    existing = await app.retry(
        lambda: chunks_of_other_length(opened_catalog, event), what="read windows"
    )
    return in_existing_windows(event, existing)


async def _join(event: ChunkDue) -> None:
    joiner = Joiner(await store.get(), utc_ms, index.get, signatures=signatures)
    size_bytes = sum(fragment.size_bytes for fragment in event.fragments)

    async def within_limit() -> ChunkComplete:
        async with _large if size_bytes > LARGE_BYTES else _small:
            return await joiner.join(event)

    try:
        complete = await app.retry(within_limit, what="join", final=FINAL)
    except NothingInWindowError as error:
        log.warning("not joined: %s", error)
        await _send_to_own_windows(joiner.misplaced)
        return
    except WindowDeletedError:
        PASSED_OVER.inc()
        log.info("not joined: retention deleted the window")
        return
    except NothingToJoinError as error:
        lost = error.lost
        await _send_to_own_windows(joiner.misplaced)
        await app.retry(lambda: codec.send(app, lost), what="send window-lost")
        raise InvalidEventError(str(error)[:480]) from error
    await _send_to_own_windows(joiner.misplaced)
    await app.retry(lambda: codec.send(app, complete), what="send chunk-complete")
    _report(complete)


async def _send_to_own_windows(misplaced: Sequence[FragmentArrived]) -> None:
    """Send a `chunk-due` for each fragment that was announced with the time of another window."""
    for event in misplaced:
        due = await app.retry(partial(_due_alone, event), what="read windows")
        await app.retry(partial(codec.send, app, due), what="send chunk-due")


async def _due_alone(event: FragmentArrived) -> ChunkDue:
    windows = await camera_windows(await index.get(), event.camera, app.settings.window_ms)
    return late_due([event], *windows.lengths.window(event.start_ms))


def _report(complete: ChunkComplete) -> None:
    JOINED.labels(complete.reason).inc()
    JOINED_BYTES.inc(complete.size_bytes)
    if complete.revision > 1:
        REVISIONS.inc()
    log.info(
        "joined",
        extra={
            "revision": complete.revision,
            "fragments": len(complete.fragments),
            "bytes": complete.size_bytes,
        },
    )
