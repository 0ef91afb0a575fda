"""Whole stretches of a partition handed over as one message.

What Faust does for each message (a callback, a queue, a turn of the stream's iterator) costs more
than most handlers. For the topics in `app.batched_topics` it is done once for many records:

    fetched      0 1 2 │ 3 4 │ 5 6 7 8 │ 9
    the stream   [0 1 2] in hand       │ [3 … 9] is one batch: it grew while it waited
    the ledger   ✓ ✓ ·                   each record is acknowledged by itself

A partition has one batch in hand and one that waits at most. One that waits and is full keeps its
partition from being fetched.

Private parts of Faust 0.15.3 this stands on, and why:
  _unacked_messages, _waiting_for_ack   who waits for work in hand is told when a batch ends
  _n_acked                              counts towards Faust's own commits by number
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from faust.types import TP
from faust.types.tuples import ConsumerMessage, ack_lock
from mode.utils.futures import notify

from streams.delivery.committing import CommittingConsumer

FULL = 1_000
"""Records in a waiting batch from which on its partition is not fetched. What one fetch brought,
up to 1 MiB, may come on top."""
NOWHERE = -1
"""A batch's own offset: acknowledging the message, as Faust does, acknowledges nothing."""


class RecordBatch(ConsumerMessage):
    """Consecutive records of one partition; grows until `Consumer.begin`."""

    def __init__(self, tp: TP, records: Sequence[Any], generation_id: int) -> None:
        super().__init__(
            tp.topic, tp.partition, NOWHERE, 0.0, 0, None, None, b"", None, 0, 0, tp,
            generation_id=generation_id,
        )  # fmt: skip
        self.records = list(records)
        self.begun = False


def stretches(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield runs of records whose offsets follow each other without a hole."""
    if records[-1].offset - records[0].offset == len(records) - 1:
        yield records
        return
    begin = 0
    for at in range(1, len(records)):
        if records[at].offset != records[at - 1].offset + 1:
            yield records[begin:at]
            begin = at
    yield records[begin:]


class BatchingConsumer(CommittingConsumer):
    """Hands stretches of records over, and takes acknowledgements of single ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[TP, RecordBatch] = {}

    def _forget(self, tp: TP) -> None:
        super()._forget(tp)
        self._waiting.pop(tp, None)

    def _portions(
        self, records: Mapping[TP, Sequence[Any]]
    ) -> Iterator[tuple[TP, Sequence[Any], bool]]:
        """Yield what is handed over at a time: stretches, or single records."""
        batched = self.app.batched_topics
        for tp, got in records.items():
            if tp.topic in batched:
                for stretch in stretches(got):
                    yield TP(*tp), stretch, True
        rest = {tp: got for tp, got in records.items() if tp.topic not in batched}
        for tp, record in self.scheduler.iterate(rest):
            yield tp, (record,), False

    def _batch(self, tp: TP, records: Sequence[Any]) -> RecordBatch:
        return RecordBatch(tp, records, self.app.consumer_generation_id)

    def _taken(self, batch: RecordBatch) -> bool:
        """Let a batch grow that a stream has in its queue; False where it has none in there."""
        if not batch.refcount:
            return False
        if not batch.begun:
            self._waiting[batch.tp] = batch
            self._slow_down(batch)
        return True

    def _grow(self, tp: TP, records: Sequence[Any]) -> bool:
        """Add records to the batch that waits, where there is one."""
        batch = self._waiting.get(tp)
        if batch is None or batch.generation_id != self.app.consumer_generation_id:
            return False
        batch.records += records
        self._slow_down(batch)
        return True

    def _slow_down(self, batch: RecordBatch) -> None:
        if len(batch.records) >= FULL:
            self.on_buffer_full(batch.tp)

    def begin(self, batch: RecordBatch) -> list[Any]:
        """Return the records of a batch, in order; what is fetched from now on makes another."""
        batch.begun = True
        if self._waiting.get(batch.tp) is batch:
            del self._waiting[batch.tp]
        self.on_buffer_drop(batch.tp)
        return batch.records

    def processed(self, batch: RecordBatch, offsets: Iterable[int]) -> None:
        """Note records of a batch in hand as processed; of one that is void it means nothing."""
        with ack_lock:
            ledger = self._ledgers.get(batch.tp)
            if batch.acked or ledger is None:
                return
            for offset in offsets:
                ledger.ack(offset)
                self._n_acked += 1

    def end(self, batch: RecordBatch) -> None:
        """Let go of a batch: what of it was not processed holds the floor down, and comes again."""
        self.abandon(batch)
        notify(self._waiting_for_ack)
