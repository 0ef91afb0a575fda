"""Events in, catalog rows out: `faust -A agents.index worker`.

A fragment's row makes it playable at once; its chunk's row takes over in one transaction. All
writes are upserts by name, so that events that come again change nothing. Partitions are worked on
beside each other and share their writes (agents/grouping.py).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from agents.grouping import GroupWriter
from agents.seen import saw_fragment, saw_heartbeat
from domain.errors import InvalidEventError
from domain.events import (
    AnyEvent,
    ChunkComplete,
    Deleted,
    Detection,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
)
from domain.times import too_far_ahead
from stores import catalog as index
from stores.catalog import Catalog
from streams import topics
from streams.app import worker_app
from streams.codec import Record
from streams.handling import handles
from streams.storage import catalog

T = TypeVar("T")

log = logging.getLogger(__name__)
app = worker_app("index")
store = catalog(app.settings)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _writer(
    write: Callable[[Catalog, Sequence[T]], Awaitable[object]], most: int
) -> GroupWriter[T]:
    async def opened(items: Sequence[T]) -> None:
        await write(await store.get(), items)

    return GroupWriter(opened, most=most)


_fragments: GroupWriter[FragmentArrived] = _writer(
    lambda to, events: index.index_fragments(to, events, _now_ms()), 500
)
_runs: GroupWriter[RunStarted | RunEnded] = _writer(index.index_runs, 500)
_chunks: GroupWriter[ChunkComplete] = _writer(
    lambda to, events: index.index_chunks(to, events, _now_ms()), 50
)
_detections: GroupWriter[Detection] = _writer(index.index_detections, 100)
_heartbeats: GroupWriter[Heartbeat] = _writer(
    lambda to, events: index.index_heartbeats(to, events, _now_ms()), 500
)
_deleted: GroupWriter[Deleted] = _writer(index.index_deleted, 500)


@handles(app, topics.FRAGMENT_ARRIVED, isolated=True)
async def index_fragment(event: AnyEvent, record: Record) -> None:
    """Make a fragment playable, or note a run's start or end."""
    match event:
        case FragmentArrived():
            if too_far_ahead(event.start_ms, record.timestamp_ms):
                raise InvalidEventError("start_ms: more than 5 minutes ahead: check the clock")
            await app.insist(lambda: _fragments.put(event), what="index fragments")
            saw_fragment(event)
        case RunStarted() | RunEnded():
            await app.insist(lambda: _runs.put(event), what="index runs")
        case _:
            return  # healing and ticks are the assembler's


@handles(app, topics.CHUNK_COMPLETE, isolated=True)
async def index_chunk(event: AnyEvent, record: Record) -> None:
    """Let a chunk take over from its fragments."""
    if not isinstance(event, ChunkComplete):
        raise InvalidEventError(f"type: {event.type} is no chunk")
    await app.insist(lambda: _chunks.put(event), what="index chunks")


@handles(app, topics.DETECTION, isolated=True)
async def index_detection(event: AnyEvent, record: Record) -> None:
    """Add what a model saw."""
    if not isinstance(event, Detection):
        raise InvalidEventError(f"type: {event.type} is no detection")
    await app.insist(lambda: _detections.put(event), what="index detections")


@handles(app, topics.HEARTBEAT, isolated=True)
async def index_heartbeat(event: AnyEvent, record: Record) -> None:
    """Keep the newest word from an edge."""
    if not isinstance(event, Heartbeat):
        raise InvalidEventError(f"type: {event.type} is no heartbeat")
    await app.insist(lambda: _heartbeats.put(event), what="index heartbeats")
    saw_heartbeat(event)


@handles(app, topics.DELETED, isolated=True)
async def index_deletion(event: AnyEvent, record: Record) -> None:
    """Remove what was deleted on purpose."""
    if not isinstance(event, Deleted):
        raise InvalidEventError(f"type: {event.type} is no deletion")
    await app.insist(lambda: _deleted.put(event), what="index deletions")
