"""Faust's consumer, which loses no record: at-least-once delivery.

One lock, the gate: a position moves only while nothing is fetched or delivered. What is fetched is
delivered, or the position goes back to it. Sources are delivered only after they were positioned in
this generation of the group. Commits pass nothing that was not processed, and wait for the table
updates before them.

What follows for one partition from what happened to it is partition_state.py's. This class asks,
and does the I/O. docs/design/delivery.md describes the faults of Faust that this replaces.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP, Message
from mode.services import WaitResults

from streams import metrics
from streams.delivery.barrier import all_sent
from streams.delivery.eager import run_eagerly
from streams.delivery.faust_private import ConsumerBase, ack_lock
from streams.delivery.fence_hooks import ConsumerThread
from streams.delivery.partition_state import (
    Expired,
    Finding,
    JumpRecovered,
    LogRestarted,
    PartitionState,
    Rewind,
    Wait,
)
from streams.delivery.record_batch import RecordBatch, stretches
from streams.interruption import Interruption
from streams.process_exit import exit_process


class Consumer(ConsumerBase):
    """Delivers every record of the partitions that are ours at least once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._states: dict[TP, PartitionState] = {}
        super().__init__(*args, **kwargs)
        self._gate = asyncio.Lock()
        self._seek_due = True  # sources are not yet positioned in this generation
        self.interrupted = Interruption()  # set while the flow is stopped

    def make_thread(self) -> ConsumerThread:
        """Return the client's thread, which keeps the fence informed."""
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def stop_flow(self) -> None:
        """Block delivery, and give back events that wait for a retry."""
        super().stop_flow()
        self.interrupted.set()

    def resume_flow(self) -> None:
        """Allow delivery."""
        self.interrupted.clear()
        super().resume_flow()

    def lags(self) -> dict[TP, int]:
        """Return how many offsets of each source are above what is committed."""
        lags = {}
        for tp, state in list(self._states.items()):
            end = self.highwater(tp) if tp in self.assignment() else None
            if end is not None and state.ledger is not None:
                lags[tp] = max(0, end - (state.ledger.committed or 0))
        return lags

    # -- positions: they only move while nothing is fetched or delivered

    async def perform_seek(self) -> None:
        """Go back to what is committed; the caller resumes both flows."""
        self._seek_due = True
        self.stop_flow()  # interrupts the delivery in progress
        self.app.flow_control.suspend()  # nothing that is queued is begun
        async with self._gate:
            await self._position_sources()

    async def _position_sources(self) -> None:
        generation = self.app.consumer_generation_id
        tps = {tp for tp in self.assignment() if not self.is_changelog(tp)}
        offsets = await self.in_client_thread(self._seek_sources, tps)
        if generation != self.app.consumer_generation_id:
            return  # a rebalance came in between: still due
        self.clear_source_queues()
        with ack_lock:
            self._abandon_unfinished(tps)
            self._invalidate_memory()
            for tp in tps:
                self._forget(tp)
                self._states[tp] = PartitionState.positioned(offsets[tp])
                self.note_committed(tp, offsets[tp])
        self._seek_due = False

    async def _seek_sources(self, tps: Set[TP]) -> dict[TP, int | None]:
        """Seek to what is committed, else to the log's beginning; return where that is.

        Runs in the consumer's thread. None is a partition that starts wherever its client does,
        because the group wants only what is new.
        """
        client = self.client()
        names = {tp: TopicPartition(*tp) for tp in tps}
        found = await asyncio.gather(*(client.committed(name) for name in names.values()))
        offsets: dict[TP, int | None] = dict(zip(names, found, strict=True))
        fresh = [tp for tp, offset in offsets.items() if offset is None]
        if fresh and self.app.conf.consumer_auto_offset_reset == "earliest":
            begins = await client.beginning_offsets([names[tp] for tp in fresh])
            offsets.update({tp: begins[names[tp]] for tp in fresh})
        for tp, offset in offsets.items():
            if offset is not None:
                client.seek(names[tp], offset)
        return offsets

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek and wait for it; table recovery moves its changelogs with this."""
        async with self._gate:
            await super().seek_wait(partitions)

    async def _seek_back(self, offsets: Mapping[TP, int]) -> None:
        """Go back (runs in the consumer's thread)."""
        for tp, offset in offsets.items():
            with suppress(IllegalStateError):  # no longer ours
                self.client().seek(TopicPartition(*tp), offset)

    def _forget(self, tp: TP) -> None:
        if (state := self._states.pop(tp, None)) is not None:
            state.revoked()
        self.forget_offsets(tp)

    def _invalidate_memory(self) -> None:
        for invalidate in self.app.on_positioned:
            invalidate()

    def _abandon_unfinished(self, tps: Set[TP]) -> None:
        # Work that outlived its partition's positioning is delivered again. When it ends now, that
        # says nothing about the delivery to come.
        for message in self.unacked(tps):
            self.abandon(message)

    # -- delivery: what is fetched is handed over, or the position goes back to it

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch, and yield the records of partitions that are not paused."""
        if self.app.client_only:
            async for item in super().getmany(timeout):
                yield item
            return
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if not self.fetchable():  # check soon again where batches only wait to be begun
            await self.sleep(0.02 if self.buffers_full() else 0.2)
        async with self._gate:
            # a copy, never empty: aiokafka takes an empty set for "all partitions"
            active = frozenset(self.fetchable())
            if not active or not self.flow_active or self.should_stop:
                return
            if self._seek_due and not all(map(self.is_changelog, active)):
                await self._try_to_position()
                return
            try:
                async for item in self._deliver(active, timeout):
                    yield item
            except BaseException:
                self._seek_due = True  # what was fetched and not handed over is fetched again
                raise

    async def _try_to_position(self) -> None:
        try:
            await self._position_sources()
        except IllegalStateError as error:
            self.log.warning("Cannot position sources: %r", error)
            await self.sleep(0.2)

    async def _deliver(
        self, active: frozenset[TP], timeout: float
    ) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch once and yield the records; the gate is locked all the time."""
        generation = self.app.consumer_generation_id
        records = await self.fetch(active, timeout)
        # Kept here: a partition that is revoked during the fetch loses its entry in `_states`, and
        # what of it was fetched must still be accounted for.
        states = {tp: self._begin_fetch(tp, got) for tp, got in records.items()}
        tracked = self.app.topics.acks_enabled_for
        for tp, some, whole in self._portions(records):
            state = states[tp]
            first, last = some[0].offset, some[-1].offset
            answer = state.fetched(first, paused=tp in self.paused())
            if isinstance(answer, Rewind | Wait):
                continue
            log_start = 0
            if answer.hole is not None:  # it is in the log itself: was it retention?
                log_start = (await self.earliest_offsets(tp))[tp]
            if not self.flow_active or generation != self.app.consumer_generation_id:
                break
            finding = state.start(first, last, tracked=tracked(tp.topic), log_start=log_start)
            if finding is not None:
                self._report(tp, finding)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if whole:
                if not self._grow(state, some):
                    batch = RecordBatch(tp, some, self.app.consumer_generation_id)
                    self.set_read_offset(tp, None)
                    yield tp, batch
                    if not self.flow_active or not self._queued(state, batch):
                        break  # delivery may have been interrupted
            else:
                self.set_read_offset(tp, first - 1)
                yield tp, self.message_of(tp, some[0])
                if not self.flow_active:
                    break
            state.delivered(last)
        await self._rewind_undelivered(states)

    def _begin_fetch(self, tp: TP, records: Sequence[Any]) -> PartitionState:
        state = self._states.get(tp)
        if state is None:  # a changelog, or a source that starts wherever its client does
            state = self._states[TP(*tp)] = PartitionState()
        has_holes = tp.topic in self.app.compacted_topics or self.is_changelog(tp)
        state.begin_fetch(records[0].offset, records[-1].offset, has_holes=has_holes)
        return state

    async def _rewind_undelivered(self, states: Mapping[TP, PartitionState]) -> None:
        back = {tp: to for tp, state in states.items() if (to := state.end_fetch()) is not None}
        if not back:
            return
        await self.in_client_thread(self._seek_back, {tp: to.offset for tp, to in back.items()})
        for tp, to in back.items():
            metrics.REWINDS.labels(tp.topic).inc(states[tp].rewound(to))

    def _portions(
        self, records: Mapping[TP, Sequence[Any]]
    ) -> Iterator[tuple[TP, Sequence[Any], bool]]:
        """Yield what is delivered together: batches (True) or single records (False)."""
        batched = self.app.batched_topics
        for tp, got in records.items():
            if tp.topic in batched:
                for stretch in stretches(got):
                    yield TP(*tp), stretch, True
        rest = {tp: got for tp, got in records.items() if tp.topic not in batched}
        for tp, record in self.scheduler.iterate(rest):
            yield tp, (record,), False

    def _report(self, tp: TP, finding: Finding) -> None:
        match finding:
            case Expired(first, count):
                metrics.EXPIRED.labels(tp.topic).inc(count)
                self.log.error(
                    "%s: retention removed offsets %s to %s before this group had read them. "
                    "Run `vigil reconcile`, which reads S3, and raise VIGIL_RETENTION_HOURS.",
                    tp,
                    first,
                    first + count - 1,
                )
            case LogRestarted(offset):
                self.log.warning(
                    "%s: the log starts again at %s: check whether it was deleted", tp, offset
                )
                self.note_committed(tp, None)
            case JumpRecovered(expected, found):
                metrics.OFFSET_JUMPS.labels(tp.topic).inc(found - expected)
                self.log.error(
                    "%s: the position jumped from %s to %s; the records were fetched again",
                    tp,
                    expected,
                    found,
                )

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Wait for the first of several; do not wait if one is done at once."""
        if not asyncio.iscoroutine(coros[0]):
            return await super().wait_first(*coros, timeout=timeout)
        at_once, result = run_eagerly(coros[0])
        if not at_once:
            return await super().wait_first(result, *coros[1:], timeout=timeout)
        for other in coros[1:]:
            if asyncio.iscoroutine(other):
                other.close()
        return WaitResults([coros[0]], [result], stopped=False)

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch a partition again whose queue was full, unless it waits for another reason."""
        if tp in self.paused() or tp not in self.assignment():
            self.forget_full_buffer(tp)
        else:
            super().on_buffer_drop(tp)

    # -- batches

    def _grow(self, state: PartitionState, records: Sequence[Any]) -> bool:
        """Add records to the batch that waits, where there is one."""
        batch = state.grow(records, self.app.consumer_generation_id)
        if batch is None:
            return False
        self._limit(batch)
        return True

    def _queued(self, state: PartitionState, batch: RecordBatch) -> bool:
        """Extend a batch that is in a stream's queue; False if no stream has it."""
        if not batch.refcount:
            return False
        if not batch.begun:
            state.waiting = batch
            self._limit(batch)
        return True

    def _limit(self, batch: Any) -> None:
        if batch.full:
            self.on_buffer_full(batch.tp)

    def begin(self, batch: RecordBatch) -> list[Any]:
        """Return the records of a batch, in order; what is fetched from now on makes another."""
        batch.begun = True
        state = self._states.get(batch.tp)
        if state is not None and state.waiting is batch:
            state.waiting = None
        self.on_buffer_drop(batch.tp)
        return batch.records

    def processed(self, batch: RecordBatch, offsets: Iterable[int]) -> None:
        """Mark records of a batch in progress as processed; ignored if the batch is void."""
        with ack_lock:
            state = self._states.get(batch.tp)
            if state is not None and not batch.acked:
                self.count_acked(state.acked(offsets))

    def end(self, batch: RecordBatch) -> None:
        """Finish a batch. Records that were not processed hold the floor, and come again."""
        self.abandon(batch)
        self.wake_ack_waiters()

    # -- acknowledgement

    def acked_offsets(self, tp: TP) -> set[int] | None:
        """Return the set that takes a partition's processed offsets."""
        state = self._states.get(tp)
        return None if state is None or state.ledger is None else state.ledger.acked

    def ack(self, message: Message) -> bool:
        """Mark a record as processed, unless the stream only skipped it."""
        if not message.tracked and (
            message.generation_id != self.app.consumer_generation_id
            or not self.app.flow_control.is_active()
        ):
            self.abandon(message)
            return False
        return super().ack(message)

    def abandon(self, message: Message) -> None:
        """Release a delivered record that was not processed: it holds the floor."""
        with ack_lock:
            message.acked = True  # later acknowledgements of it count for nothing
            self.discard_unacked(message)

    def hold_commit(self, tp: TP, offset: int) -> Callable[[], None]:
        """Let no commit pass an offset until the returned function is called.

        For an event whose effects are written together with others'. Once positions have moved
        the hold is void: the event comes again.
        """
        with ack_lock:
            state = self._states.get(tp)
            ledger = None if state is None else state.ledger  # None: not ours any more
            if ledger is not None:
                ledger.hold(offset)

        def release() -> None:
            with ack_lock:
                if ledger is not None:
                    ledger.release(offset)

        return release

    # -- committing

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Write what is in memory, then commit."""
        for write in self.app.before_commit:
            await write()
        return await super().commit(topics, start_new_transaction)

    def partitions_to_commit(self) -> list[TP]:
        """Return the sources that are ours and positioned."""
        return [tp for tp, state in list(self._states.items()) if state.ledger is not None]

    def offset_to_commit(self, tp: TP) -> int | None:
        """Return the floor of a partition, if the broker does not have it."""
        with ack_lock:
            state = self._states.get(tp)
            return None if state is None else state.committable()

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit after the table updates; what the broker does not accept is committed later."""
        if not await self._table_updates_sent():
            return False
        assignment = self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in assignment}
        if not ours or not await self.send_commit(ours):
            return False
        with ack_lock:
            for tp, offset in ours.items():
                state = self._states.get(tp)
                if state is not None and state.ledger is not None:
                    state.committed(offset)
                    self.note_committed(tp, offset)
        return True

    async def _table_updates_sent(self) -> bool:
        """Wait until the broker has all table updates; commits without them would lose them.

        Only for those there are now: Faust's own flush waits until there are none, which
        under a backlog never comes.
        """
        if not await all_sent(self.producer_buffer(), self.app.conf.broker_request_timeout):
            self.log.warning("Table updates cannot be sent now: nothing is committed")
            return False
        await self.flush_producer()
        if lost := self.app.send_errors.first:
            exit_process(f"Kafka did not accept a table update: {lost!r}.")
            return False
        return True

    # -- rebalancing

    async def leave_group_by_timeout(self, seconds: float) -> None:
        """Fetch nothing more and let the session end, so that the group rebalances."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self._seek_due = True
        await self.stop_heartbeats()
        await asyncio.sleep(seconds)

    async def on_partitions_revoked(self, revoked: Set[TP]) -> None:
        """End work in progress and commit it, and only then forget what was acknowledged."""
        self._seek_due = True
        self.interrupted.set()
        self.stop_fetching(revoked)
        await self.end_work_of(revoked)
        with ack_lock:
            self._abandon_unfinished(revoked)
            self._invalidate_memory()
            for tp in revoked:
                self._forget(tp)
        # also of what is not committed: later it would be too late
        await self._table_updates_sent()
        self.app.fence.release()

    async def on_partitions_assigned(self, assigned: Set[TP], generation_id: int = 0) -> None:
        """Accept partitions; nothing of them is delivered before they are positioned."""
        self._seek_due = True
        self.stop_flow()  # a worker that had no partitions is still running
        self.app.flow_control.suspend()
        if assigned:
            self.app.fence.own()
        await super().on_partitions_assigned(assigned, generation_id)
