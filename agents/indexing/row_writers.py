"""What becomes of each event in the catalog: the rules that the indexer and a replay share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.events import (
    AnyEvent,
    ChunkComplete,
    Deleted,
    Detection,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
    WindowLost,
)
from domain.plausible import check_times
from stores import catalog as index
from stores.catalog import Catalog
from stores.catalog.index import index_lost

Write = Callable[[Catalog, Sequence[Any], int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Events that are written together."""

    name: str
    """In the plural: fragments, chunks."""
    most: int
    """How many go into one transaction, by weight."""
    write: Write
    """Of catalog, events and now (UTC ms): writes them and returns how many changed anything."""
    weigh: Callable[[Any], int] = lambda _event: 1
    """How much one event counts: where it can be thousands of rows, its rows."""


def _objects(event: Detection) -> int:
    return 1 + sum(len(frame.objects) for frame in event.frames)


async def _runs(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index.index_runs(catalog, events)


async def _detections(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index.index_detections(catalog, events)


async def _deleted(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index.index_deleted(catalog, events)


FRAGMENTS = RowWriter("fragments", 500, index.index_fragments)
RUNS = RowWriter("runs", 500, _runs)
CHUNKS = RowWriter("chunks", 50, index.index_chunks)
LOST = RowWriter("lost windows", 50, index_lost)
DETECTIONS = RowWriter("detections", 1_000, _detections, _objects)
HEARTBEATS = RowWriter("heartbeats", 500, index.index_heartbeats)
DELETED = RowWriter("deletions", 500, _deleted)
ROW_WRITERS = (FRAGMENTS, RUNS, CHUNKS, LOST, DETECTIONS, HEARTBEATS, DELETED)


def row_writer_for(event: AnyEvent, logged_ms: int) -> RowWriter | None:
    """Return how an event is written, None where the catalog keeps nothing of it.

    `logged_ms` is when it was sent (UTC), the same at every reading. Raises InvalidEventError
    where it must not be believed.
    """
    check_times(event, logged_ms)
    match event:
        case FragmentArrived():
            return FRAGMENTS
        case RunStarted() | RunEnded():
            return RUNS
        case ChunkComplete():
            return CHUNKS
        case WindowLost():
            return LOST
        case Detection():
            return DETECTIONS
        case Heartbeat():
            return HEARTBEATS
        case Deleted():
            return DELETED
        case _:
            return None  # healing, ticks and what is due are for others
