"""Sends an event on to the partition of its key, where a producer put it into another one.

    8 partitions     [ … gate-1, before the growth ]   partition 3
    64 partitions    [ gate-1, since ]                 partition 27: its worker has gate-1's state

That happens when topics grow (streams/topic_growth.py): what was not yet handled is in the old
partitions, and producers learn of the new ones some minutes later. All events of a camera must come
to the one worker that has its state. So a worker sends an event of another partition there.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from streams import codec
from streams.codec import Record
from streams.interruption import Interrupted
from streams.topics import TopicSpec, partition_of


def own_partition(record: Record, partitions: int) -> int | None:
    """Return the partition that a record's key belongs to; None where the record is in it."""
    if record.key is None:
        return None
    partition = partition_of(record.key, partitions)
    return None if partition == record.partition else partition


async def send_on(app: Any, topic: TopicSpec, records: Sequence[Record]) -> set[int]:
    """Send records to the partitions of their keys, in order, for as long as it takes.

    All at once: while producers do not know the new partitions, every event comes this way.
    Returns the offsets of those that the broker has. The others are interrupted: partitions go.
    """
    sent = await asyncio.gather(
        *[_send_on(app, topic, record) for record in records], return_exceptions=True
    )
    for error in sent:
        if isinstance(error, BaseException) and not isinstance(error, Interrupted):
            raise error
    return {record.offset for record, error in zip(records, sent, strict=True) if error is None}


async def _send_on(app: Any, topic: TopicSpec, record: Record) -> None:
    partition = own_partition(record, app.settings.partitions)

    async def attempt() -> None:
        await codec.send_bytes(app, topic, record.key, record.value or b"", partition=partition)

    await app.retry(attempt, what="send an event to its own partition")
