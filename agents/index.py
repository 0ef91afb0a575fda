"""Events in, catalog rows out: `faust -A agents.index worker`.

A fragment's row makes it playable at once. Its chunk's row replaces it in one transaction.
All writes are upserts by name, so an event that arrives twice changes nothing. Many events of a
partition are taken at once, and partitions share their writes (agents/indexing/group_commit.py).
agents/indexing/row_writers.py says what is written, and what is refused.
"""

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from agents.indexing.group_commit import GroupWriter
from agents.indexing.index_metrics import observe_fragment, observe_heartbeat
from agents.indexing.row_writers import (
    CHUNKS,
    DELETED,
    DETECTIONS,
    FRAGMENTS,
    HEARTBEATS,
    ROW_WRITERS,
    RowWriter,
    row_writer_for,
)
from domain.events import AnyEvent, FragmentArrived, Heartbeat
from domain.times import utc_ms
from streams import topics
from streams.app import worker_app
from streams.batch_handlers import Arrival, handles_batch
from streams.codec import Record
from streams.storage import catalog

log = logging.getLogger(__name__)
app = worker_app("index")
store = catalog(app.settings)


def _writer(kind: RowWriter) -> GroupWriter[AnyEvent]:
    async def write(events: Sequence[AnyEvent]) -> None:
        await kind.write(await store.get(), events, utc_ms())

    return GroupWriter(write, most=kind.most, weigh=kind.weigh)


_writers = {kind.name: _writer(kind) for kind in ROW_WRITERS}


def _believed(event: AnyEvent, record: Record) -> None:
    row_writer_for(event, record.timestamp_ms)


async def _index(arrivals: Sequence[Arrival]) -> None:
    """Write events in their order: neighbours of one kind together."""
    kept = [
        (kind, event)
        for event, record in arrivals
        if (kind := row_writer_for(event, record.timestamp_ms)) is not None
    ]
    for kind, some in groupby(kept, key=itemgetter(0)):
        await _put(_writers[kind.name], [event for _, event in some], f"index {kind.name}")


async def _put(writer: GroupWriter[AnyEvent], events: Sequence[AnyEvent], what: str) -> None:
    await app.retry(lambda: writer.put(events), what=what)


@handles_batch(
    app, topics.FRAGMENT_ARRIVED, most=FRAGMENTS.most, check=_believed, dead_lettered_by="assemble"
)
async def index_fragments(arrivals: Sequence[Arrival]) -> None:
    """Make fragments playable, and note runs' starts and ends."""
    await _index(arrivals)
    for event, _ in arrivals:
        if isinstance(event, FragmentArrived):
            observe_fragment(event)


@handles_batch(app, topics.CHUNK_COMPLETE, most=CHUNKS.most, check=_believed)
async def index_chunks(arrivals: Sequence[Arrival]) -> None:
    """Let chunks take over from their fragments."""
    await _index(arrivals)


@handles_batch(app, topics.DETECTION, most=DETECTIONS.most, check=_believed)
async def index_detections(arrivals: Sequence[Arrival]) -> None:
    """Add what models saw."""
    await _index(arrivals)


@handles_batch(app, topics.HEARTBEAT, most=HEARTBEATS.most, check=_believed)
async def index_heartbeats(arrivals: Sequence[Arrival]) -> None:
    """Keep the newest word from each edge."""
    await _index(arrivals)
    for event, _ in arrivals:
        if isinstance(event, Heartbeat):
            observe_heartbeat(event)


@handles_batch(app, topics.DELETED, most=DELETED.most, check=_believed)
async def index_deletions(arrivals: Sequence[Arrival]) -> None:
    """Remove what was deleted on purpose."""
    await _index(arrivals)
