"""Chunks decided in, chunks made out: `faust -A agents.join worker`.

`chunk-complete` goes out after the object and its manifest stand in S3. A camera's chunks are made
in their order, those of several cameras beside each other, as many as memory allows.
"""

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import Counter

from agents.consistency.fsck import MARGIN_MS
from agents.joining.concurrency import run_all
from agents.joining.join_errors import NothingToJoinError, WindowDeletedError
from agents.joining.joiner import Joiner
from domain.errors import InvalidEventError
from domain.events import AnyEvent, ChunkComplete, ChunkDue
from domain.rewindow import as_cut
from domain.times import utc_ms
from stores.catalog.rechunk import chunks_of_other_length
from streams import codec, logs, topics
from streams.app import worker_app
from streams.batch_handlers import Arrival, handles_batch
from streams.codec import Record
from streams.metrics import REGISTRY, REVISIONS
from streams.retry import Interrupted
from streams.storage import catalog, object_store

MOST = 32
"""Events of one partition that are taken in hand together."""
LARGE_BYTES = 8 << 20
LARGE_AT_ONCE, SMALL_AT_ONCE = 2, 12
"""Chunks in the making: a large one takes up to 48 MiB of memory, a small one its own size."""

log = logging.getLogger(__name__)
JOINED = Counter("vigil_chunks_joined", "Chunks that stand in S3", ("reason",), registry=REGISTRY)
PASSED_OVER = Counter(
    "vigil_chunks_passed_over", "Chunks not made since retention deleted them", registry=REGISTRY
)
JOINED_BYTES = Counter("vigil_chunk_bytes", "Bytes of the chunks joined", registry=REGISTRY)

app = worker_app("join")
store = object_store(app.settings)
index = catalog(app.settings)
FINAL = (NothingToJoinError, WindowDeletedError)
_large = asyncio.Semaphore(LARGE_AT_ONCE)
_small = asyncio.Semaphore(SMALL_AT_ONCE)


def check(event: AnyEvent, record: Record) -> None:
    """Refuse what is nothing to join."""
    if not isinstance(event, ChunkDue):
        raise InvalidEventError(f"type: {event.type} is nothing to join")


@handles_batch(app, topics.CHUNK_DUE, most=MOST, check=check)
async def join(arrivals: Sequence[Arrival]) -> None:
    """Join chunks and say that they are complete."""
    by_camera: dict[bytes | None, list[Arrival]] = {}
    for arrival in arrivals:
        by_camera.setdefault(arrival.record.key, []).append(arrival)
    await run_all(_in_order(each) for each in by_camera.values())


async def _in_order(arrivals: Sequence[Arrival]) -> None:
    for event, record in arrivals:
        assert isinstance(event, ChunkDue)
        if app.consumer.interrupted.is_set():
            raise Interrupted("given back")
        with logs.LogContext(record, event):
            for due in await _as_cut(event):
                await _join(due)


async def _as_cut(event: ChunkDue) -> list[ChunkDue]:
    """Return what is due in the windows that a replay may have made of the footage meanwhile.

    Replays leave windows alone that ended just now: of those the catalog is not asked.
    """
    now_ms = utc_ms()
    if event.window_start_ms + event.window_ms + MARGIN_MS > now_ms:
        return [event]
    opened = await app.retry(index.get, what="open catalog")
    standing = await app.retry(
        lambda: chunks_of_other_length(opened, event), what="look at windows"
    )
    return as_cut(event, standing)


async def _join(event: ChunkDue) -> None:
    joiner = Joiner(await store.get(), utc_ms, index.get)
    size_bytes = sum(fragment.size_bytes for fragment in event.fragments)

    async def in_turn() -> ChunkComplete:
        async with _large if size_bytes > LARGE_BYTES else _small:
            return await joiner.join(event)

    try:
        complete = await app.retry(in_turn, what="join", final=FINAL)
    except WindowDeletedError:
        PASSED_OVER.inc()
        log.info("passed over: retention deleted the window")
        return
    except NothingToJoinError as error:
        lost = error.lost
        await app.retry(lambda: codec.send(app, lost), what="send window-lost")
        raise InvalidEventError(str(error)[:480]) from error
    await app.retry(lambda: codec.send(app, complete), what="send chunk-complete")
    _note(complete)


def _note(complete: ChunkComplete) -> None:
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
