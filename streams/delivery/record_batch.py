"""Consecutive records of one partition, handed over as one message.

Faust's work for each message costs more than most handlers: a callback, a queue, a turn of the
stream's iterator. For the topics in `app.batched_topics` it is done once for many records:

    fetched      0 1 2 │ 3 4 │ 5 6 7 8 │ 9
    the stream   [0 1 2] in progress   │ [3 … 9] is one batch: it grew while it waited
    the ledger   ✓ ✓ ·                   each record is acknowledged by itself

A partition has at most one batch in progress and one that waits. One that waits and is full keeps
its partition from being fetched: back-pressure.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from faust.types import TP

from streams.delivery.faust_private import ConsumerMessage

FULL = 1_000
"""Records in a waiting batch from which on its partition is not fetched. What one fetch brought,
up to 1 MiB, may come on top."""
NO_OFFSET = -1
"""A batch's own offset: when Faust acknowledges the message, that acknowledges no record."""


class RecordBatch(ConsumerMessage):
    """Consecutive records of one partition; grows until `Consumer.begin`."""

    def __init__(self, tp: TP, records: Sequence[Any], generation_id: int) -> None:
        super().__init__(
            topic=tp.topic,
            partition=tp.partition,
            offset=NO_OFFSET,
            timestamp=0.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=b"",
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation_id,
        )
        self.records = list(records)
        self.begun = False

    @property
    def full(self) -> bool:
        """Whether its partition is not to be fetched until the batch is begun."""
        return len(self.records) >= FULL


def stretches(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield runs of records whose offsets follow each other without a hole."""
    if records[-1].offset - records[0].offset == len(records) - 1:
        yield records
        return
    begin = 0
    for index in range(1, len(records)):
        if records[index].offset != records[index - 1].offset + 1:
            yield records[begin:index]
            begin = index
    yield records[begin:]
