"""Events in, catalog rows out: `faust -A agents.index worker`.

A fragment's row makes it playable at once. Its chunk's row replaces it in one transaction.
All writes are upserts by name, so an event that arrives twice changes nothing. Many events of a
partition are taken at once, and partitions share their writes (agents/indexing/group_commit.py).
agents/indexing/row_writers.py says what is written, and what is refused.
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter

from agents.indexing.corrections import correct_rows, true_runs
from agents.indexing.group_commit import GroupWriter
from agents.indexing.index_metrics import (
    observe_detection,
    observe_fragment,
    observe_heartbeat,
    observe_playable,
    set_site_health,
)
from agents.indexing.row_writers import (
    CHUNKS,
    DELETED,
    DETECTIONS,
    FRAGMENTS,
    HEARTBEATS,
    ROW_WRITERS,
    RUNS,
    RowWriter,
    row_writer_for,
    write_live_detections,
)
from agents.signatures.checker import SignatureChecker
from domain.chunks import gaps_due
from domain.errors import StoreError
from domain.events import (
    AnyEvent,
    ChunkComplete,
    Detection,
    FragmentArrived,
    Heartbeat,
    RunEnded,
    RunStarted,
)
from domain.times import utc_ms
from stores.catalog.filled_gaps import chunks_with_filled_gaps, may_concern_gaps
from stores.catalog.live_events import trim_events
from stores.catalog.site_health import site_health
from streams import codec, topics, tracing
from streams.app import worker_app
from streams.batch_handlers import Arrival, handles_batch
from streams.codec import Record
from streams.storage import catalog, object_store

TRIM_EVERY_S = 60.0
SITE_HEALTH_EVERY_S = 30.0

log = logging.getLogger(__name__)
app = worker_app("index")
store = catalog(app.settings)
objects = object_store(app.settings)
signatures = SignatureChecker.of(store.get)


def _group_writer(rows: RowWriter) -> GroupWriter[AnyEvent]:
    async def write(events: Sequence[AnyEvent]) -> None:
        opened = await store.get()
        if rows is RUNS:
            runs = [each for each in events if isinstance(each, RunStarted | RunEnded)]
            events = await true_runs(await objects.get(), runs, signatures)
        writes = write_live_detections if rows is DETECTIONS else rows.write
        written = await writes(opened, events, utc_ms())
        if rows is FRAGMENTS and written < len(events):  # some have a row: it may be a wrong one
            fragments = [each for each in events if isinstance(each, FragmentArrived)]
            await correct_rows(opened, await objects.get(), fragments, utc_ms())

    return GroupWriter(write, max_weight=rows.max_weight, weigh=rows.weigh)


_writers = {rows.name: _group_writer(rows) for rows in ROW_WRITERS}


def _check(event: AnyEvent, record: Record) -> None:
    row_writer_for(event, record.timestamp_ms)


async def _index(arrivals: Sequence[Arrival]) -> None:
    """Write events in their order. Neighbours of one kind are written together."""
    to_write = [
        (rows, event)
        for event, record in arrivals
        if (rows := row_writer_for(event, record.timestamp_ms)) is not None
    ]
    for rows, group in groupby(to_write, key=itemgetter(0)):
        await _put(_writers[rows.name], [event for _, event in group], f"index {rows.name}")


async def _put(writer: GroupWriter[AnyEvent], events: Sequence[AnyEvent], what: str) -> None:
    await app.retry(lambda: writer.put(events), what=what)


@handles_batch(
    app,
    topics.FRAGMENT_ARRIVED,
    most=FRAGMENTS.max_weight,
    check=_check,
    dead_lettered_by="assemble",
)
async def index_fragments(arrivals: Sequence[Arrival]) -> None:
    """Make fragments playable, and store run starts and run ends."""
    await _index(arrivals)
    now_ms = utc_ms()
    for event, record in arrivals:
        if isinstance(event, FragmentArrived):
            observe_fragment(event, now_ms)
            observe_playable(event, record.timestamp_ms, now_ms)
            if tracing.tracer is not None:
                tracing.tracer.add("index fragment", event.run, event.seq, record.timestamp_ms)


@handles_batch(app, topics.CHUNK_COMPLETE, most=CHUNKS.max_weight, check=_check)
async def index_chunks(arrivals: Sequence[Arrival]) -> None:
    """Store chunks, which replace the rows of their fragments."""
    await _index(arrivals)
    if tracing.tracer is not None:
        for event, record in arrivals:
            if isinstance(event, ChunkComplete):
                for fragment in event.fragments:
                    tracing.tracer.add("index chunk", event.run, fragment.seq, record.timestamp_ms)
    chunks = [event for event, _ in arrivals if isinstance(event, ChunkComplete)]
    for chunk in may_concern_gaps(chunks):
        await app.retry(partial(_send_filled_gaps, chunk), what="send chunk-due")


async def _send_filled_gaps(chunk: ChunkComplete) -> None:
    """Ask the joiner for the chunks that report as missing what another chunk holds."""
    for found in await chunks_with_filled_gaps(await store.get(), chunk):
        await codec.send(app, gaps_due(found))


@handles_batch(app, topics.DETECTION, most=DETECTIONS.max_weight, check=_check)
async def index_detections(arrivals: Sequence[Arrival]) -> None:
    """Store detections."""
    await _index(arrivals)
    now_ms = utc_ms()
    for event, record in arrivals:
        if isinstance(event, Detection):
            observe_detection(event, record.timestamp_ms, now_ms)


@handles_batch(app, topics.HEARTBEAT, most=HEARTBEATS.max_weight, check=_check)
async def index_heartbeats(arrivals: Sequence[Arrival]) -> None:
    """Store the newest heartbeat of each edge."""
    await _index(arrivals)
    for event, _ in arrivals:
        if isinstance(event, Heartbeat):
            observe_heartbeat(event, utc_ms())


@handles_batch(app, topics.DELETED, most=DELETED.max_weight, check=_check)
async def index_deletions(arrivals: Sequence[Arrival]) -> None:
    """Apply tombstones: remove the rows of deleted footage."""
    await _index(arrivals)


@app.timer(interval=TRIM_EVERY_S)
async def trim_live_events() -> None:
    """Delete the events that streams need no more."""
    try:
        await trim_events(await store.get(), utc_ms())
    except StoreError as error:
        log.warning("old events of streams are not deleted: %s", error)


@app.timer(interval=SITE_HEALTH_EVERY_S)
async def measure_sites() -> None:
    """Read from the catalog what the service levels of sites rest on."""
    try:
        set_site_health(await site_health(await store.get(), utc_ms()))
    except StoreError as error:
        set_site_health([])
        log.warning("the state of sites cannot be read: %s", error)
