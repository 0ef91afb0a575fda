"""Chunks decided in, chunks made out: `faust -A agents.join worker`.

`chunk-complete` goes out after the object and its manifest stand in S3. Partitions are worked on
beside each other: one camera's slow bytes hold up only its own partition.
"""

import logging
import time

from prometheus_client import Counter

from agents.joiner import Joiner, NothingToJoinError
from domain.errors import InvalidEventError
from domain.events import AnyEvent, ChunkDue
from streams import codec, topics
from streams.app import worker_app
from streams.codec import Record
from streams.handling import handles
from streams.metrics import REGISTRY, REVISIONS
from streams.storage import object_store

log = logging.getLogger(__name__)
JOINED = Counter("vigil_chunks_joined", "Chunks that stand in S3", ("reason",), registry=REGISTRY)
JOINED_BYTES = Counter("vigil_chunk_bytes", "Bytes of the chunks joined", registry=REGISTRY)

app = worker_app("join")
store = object_store(app.settings)


@handles(app, topics.CHUNK_DUE, isolated=True)
async def join(event: AnyEvent, record: Record) -> None:
    """Join one chunk and say that it is complete."""
    if not isinstance(event, ChunkDue):
        raise InvalidEventError(f"type: {event.type} is nothing to join")
    joiner = Joiner(await store.get(), lambda: time.time_ns() // 1_000_000)
    try:
        complete = await app.insist(
            lambda: joiner.join(event), what="join", final=(NothingToJoinError,)
        )
    except NothingToJoinError as error:
        raise InvalidEventError(str(error)[:480]) from error
    await app.insist(lambda: codec.send(app, complete), what="send chunk-complete")
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
