"""Which rows of the catalog each event becomes. The indexer and a replay share these rules."""

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
from domain.plausible import check_event
from stores.catalog import (
    Catalog,
    index_chunks,
    index_deleted,
    index_detections,
    index_fragments,
    index_heartbeats,
    index_runs,
)
from stores.catalog.index import index_lost

Write = Callable[[Catalog, Sequence[Any], int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes one kind of events to the catalog."""

    name: str
    """In the plural: fragments, chunks."""
    max_weight: int
    """The most that one transaction writes, by weight."""
    write: Write
    """Takes the catalog, events and now (UTC ms); returns how many events changed a row."""
    weigh: Callable[[Any], int] = lambda _event: 1
    """Returns an event's weight: 1, or its rows where one event can be thousands of rows."""


def _detection_rows(event: Detection) -> int:
    return 1 + sum(len(frame.objects) for frame in event.frames)


async def _runs(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index_runs(catalog, events)


async def _detections(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index_detections(catalog, events)


async def write_live_detections(catalog: Catalog, events: Sequence[Any], now_ms: int) -> int:
    """Write detections that streams show: the indexer's. A rebuild of the catalog shows none."""
    return await index_detections(catalog, events, now_ms)


async def _deleted(catalog: Catalog, events: Sequence[Any], _now_ms: int) -> int:
    return await index_deleted(catalog, events)


FRAGMENTS = RowWriter("fragments", 500, index_fragments)
RUNS = RowWriter("runs", 500, _runs)
CHUNKS = RowWriter("chunks", 50, index_chunks)
LOST = RowWriter("lost windows", 50, index_lost)
DETECTIONS = RowWriter("detections", 1_000, _detections, _detection_rows)
HEARTBEATS = RowWriter("heartbeats", 500, index_heartbeats)
DELETED = RowWriter("deletions", 500, _deleted)
ROW_WRITERS = (FRAGMENTS, RUNS, CHUNKS, LOST, DETECTIONS, HEARTBEATS, DELETED)


def row_writer_for(event: AnyEvent, logged_ms: int) -> RowWriter | None:
    """Return the writer for an event, or None if the catalog does not store such events.

    `logged_ms` is the time of its Kafka message (UTC), the same at every reading. Raises
    InvalidEventError if its times are not plausible.
    """
    check_event(event, logged_ms)
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
            return None  # heal requests, ticks and chunk-due are for the other stages
