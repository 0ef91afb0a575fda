"""Events in, catalog rows out: `faust -A agents.index worker`.

A fragment's row makes it playable at once; its chunk's row takes over in one transaction. All
writes are upserts by name, so that events that come again change nothing. Partitions are worked on
beside each other and share their writes (agents/grouping.py). What is written, and what is not
believed, stands in agents/indexing.py.
"""

import logging
import time
from collections.abc import Sequence

from agents.grouping import GroupWriter
from agents.indexing import KINDS, Kind, kind_of
from agents.seen import saw_fragment, saw_heartbeat
from domain.events import AnyEvent, FragmentArrived, Heartbeat
from streams import topics
from streams.app import worker_app
from streams.codec import Record
from streams.handling import handles
from streams.storage import catalog

log = logging.getLogger(__name__)
app = worker_app("index")
store = catalog(app.settings)


def _writer(kind: Kind) -> GroupWriter[AnyEvent]:
    async def write(events: Sequence[AnyEvent]) -> None:
        await kind.write(await store.get(), events, time.time_ns() // 1_000_000)

    return GroupWriter(write, most=kind.most)


_writers = {kind.name: _writer(kind) for kind in KINDS}


async def _index(event: AnyEvent, record: Record) -> None:
    kind = kind_of(event, record.timestamp_ms)
    if kind is not None:
        writer = _writers[kind.name]
        await app.insist(lambda: writer.put(event), what=f"index {kind.name}")


@handles(app, topics.FRAGMENT_ARRIVED, isolated=True)
async def index_fragment(event: AnyEvent, record: Record) -> None:
    """Make a fragment playable, or note a run's start or end."""
    await _index(event, record)
    if isinstance(event, FragmentArrived):
        saw_fragment(event)


@handles(app, topics.CHUNK_COMPLETE, isolated=True)
async def index_chunk(event: AnyEvent, record: Record) -> None:
    """Let a chunk take over from its fragments."""
    await _index(event, record)


@handles(app, topics.DETECTION, isolated=True)
async def index_detection(event: AnyEvent, record: Record) -> None:
    """Add what a model saw."""
    await _index(event, record)


@handles(app, topics.HEARTBEAT, isolated=True)
async def index_heartbeat(event: AnyEvent, record: Record) -> None:
    """Keep the newest word from an edge."""
    await _index(event, record)
    if isinstance(event, Heartbeat):
        saw_heartbeat(event)


@handles(app, topics.DELETED, isolated=True)
async def index_deletion(event: AnyEvent, record: Record) -> None:
    """Remove what was deleted on purpose."""
    await _index(event, record)
