"""Faust's consumer on aiokafka, with the faults mended that lose events.

One lock, the gate: a position moves only while nothing is fetched or delivered. What is
fetched is delivered or gone back to. Sources are delivered only after they were positioned
in this generation of the group. What is committed is a floor under an unbroken run of
acknowledgements, and only after the table updates before it were sent.

Private parts of Faust 0.15.3 this stands on, and why:
  _thread, _thread._ensure_consumer   positions must be set in the client's own thread
  _getmany                            the fetch itself, with a set of our own
  _active_partitions, _paused_partitions, _buffered_partitions, _get_active_partitions
                                      who is fetched just now
  _read_offset                        told before each record, so that the loop around getmany
                                      finds neither a gap to count as processed nor a repeat
  _acked_index, _acked, _committed_offset, _unacked_messages
                                      the compiled stream iterator writes acknowledgements there
                                      itself: they are views of our ledgers
  _new_offset, _filter_tps_with_pending_acks, _should_commit, _commit_offsets
                                      what may be committed, and the commit
  app.flow_control._queues            to empty them where positions move
  app._fetcher                        none: it goes on calling getmany
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Set
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ack_lock

from streams import metrics
from streams.delivery.barrier import all_sent
from streams.delivery.batch import Batch
from streams.delivery.ledger import Ledger
from streams.delivery.views import Ledgers
from streams.ending import end_process
from streams.interruption import Interruption


class Consumer(driver.Consumer):
    """At-least-once delivery of every record of the partitions that are ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = asyncio.Lock()
        self._seek_due = True  # sources not yet positioned in this generation
        self._next: dict[TP, int] = {}  # offset that the next record should have
        self._doubted: dict[TP, tuple[int, int]] = {}  # hole seen once: (wanted, found)
        self._ledgers = Ledgers()
        self._acked_index = self._ledgers.done  # written by the compiled stream iterator
        self._acked = self._ledgers.sinks
        self.interrupted = Interruption()  # set while the flow is stopped

    def _forget(self, tp: TP) -> None:
        self._ledgers.pop(tp, None)
        for state in (
            self._gap,
            self._read_offset,
            self._committed_offset,
            self._next,
            self._doubted,
        ):
            state.pop(tp, None)

    def stop_flow(self) -> None:
        """Block delivery, and give back what is only being tried again."""
        super().stop_flow()
        self.interrupted.set()

    def resume_flow(self) -> None:
        """Allow delivery."""
        self.interrupted.clear()
        super().resume_flow()

    # -- positions: only ever moved while nothing is fetched or delivered

    async def perform_seek(self) -> None:
        """Go back to what is committed; the caller resumes both flows."""
        self._seek_due = True
        self.stop_flow()  # interrupts the delivery in hand
        self.app.flow_control.suspend()  # nothing that is queued is begun
        async with self._gate:
            await self._position_sources()

    async def _position_sources(self) -> None:
        generation = self.app.consumer_generation_id
        tps = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        offsets = await self._thread.call_thread(self._seek_sources, tps)
        if generation != self.app.consumer_generation_id:
            return  # rebalanced meanwhile: still due
        for queue in list(self.app.flow_control._queues):
            if queue is not self.app.tables.changelog_queue:
                queue.clear()
        with ack_lock:
            self._abandon_in_hand(tps)
            for tp in tps:
                self._forget(tp)
                offset = offsets[tp]
                self._ledgers[tp] = Ledger.at(offset)
                if offset is not None:
                    self._next[tp] = self._committed_offset[tp] = offset
        self._seek_due = False

    def _abandon_in_hand(self, tps: Set[TP]) -> None:
        # Work that outlived its partition's positioning is delivered again: when it ends
        # now, that says nothing about the delivery to come.
        for message in [m for m in self._unacked_messages if m.tp in tps]:
            self.abandon(message)

    async def _seek_sources(self, tps: Set[TP]) -> dict[TP, int | None]:
        """Seek to what is committed, else to the log's beginning; return where that is.

        Runs in the consumer's thread. None is a partition that starts wherever its client does,
        because the group wants only what is new.
        """
        consumer = self._thread._ensure_consumer()
        names = {tp: TopicPartition(*tp) for tp in tps}
        found = await asyncio.gather(*(consumer.committed(name) for name in names.values()))
        offsets: dict[TP, int | None] = dict(zip(names, found, strict=True))
        fresh = [tp for tp, offset in offsets.items() if offset is None]
        if fresh and self.app.conf.consumer_auto_offset_reset == "earliest":
            begins = await consumer.beginning_offsets([names[tp] for tp in fresh])
            offsets.update({tp: begins[names[tp]] for tp in fresh})
        for tp, offset in offsets.items():
            if offset is not None:
                consumer.seek(names[tp], offset)
        return offsets

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek and wait for it; table recovery moves its changelogs with this."""
        async with self._gate:
            await super().seek_wait(partitions)

    async def _rewind(self, offsets: Mapping[TP, int]) -> None:
        """Go back (runs in the consumer's thread)."""
        for tp, offset in offsets.items():
            with suppress(IllegalStateError):  # no longer ours
                self._thread._ensure_consumer().seek(TopicPartition(*tp), offset)

    # -- delivery: what is fetched is handed over, or the position goes back to it

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch, and yield what the flow lets through."""
        if self.app.client_only:
            async for item in super().getmany(timeout):
                yield item
            return
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if not self._get_active_partitions():
            await self.sleep(0.2)
        async with self._gate:
            # a copy, never empty: aiokafka takes an empty set for "all partitions"
            active = frozenset(self._get_active_partitions())
            if not active or not self.flow_active or self.should_stop:
                return
            if self._seek_due and not all(map(self._is_changelog_tp, active)):
                await self._try_to_position()
                return
            try:
                async for item in self._deliver(active, timeout):
                    yield item
            except BaseException:
                self._seek_due = True  # what was fetched and not handed over is fetched again
                raise

    async def _deliver(
        self,
        active: frozenset[TP],
        timeout: float,
    ) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch one batch and yield it; the gate is held all the while."""
        generation = self.app.consumer_generation_id
        records = await self._getmany(active, timeout)
        batch = Batch.of({tp: (got[0].offset, got[-1].offset) for tp, got in records.items()})
        for tp, record in self.scheduler.iterate(records):
            if tp in batch.held or tp in self._paused_partitions:
                batch.hold(tp)
                continue
            if self._jumped(tp, record.offset):
                batch.go_back(tp, self._next[tp])
                continue
            gone = await self._gone_before(tp, record.offset)
            if not self.flow_active or generation != self.app.consumer_generation_id:
                break
            self._expect(tp, record.offset, gone)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            yield tp, self._to_message(tp, record)
            if not self.flow_active:
                break  # delivery may have been interrupted
            batch.delivered(tp, record.offset)
        if back := batch.rewind():
            for tp, offset in back.items():
                metrics.REWINDS.labels(tp.topic).inc(batch.last[tp] - offset + 1)
            await self._thread.call_thread(self._rewind, back)
            self._next.update(back)

    async def _try_to_position(self) -> None:
        try:
            await self._position_sources()
        except IllegalStateError as exc:
            self.log.warning("Cannot position sources: %r", exc)
            await self.sleep(0.2)

    def _jumped(self, tp: TP, offset: int) -> bool:
        """Return True once for each hole: the position goes back before it is believed.

        Whatever moved the client past records that it was to deliver, they are fetched again.
        A hole that is still there then is one in the log.
        """
        want = self._next.get(tp)
        if want is None or offset <= want or self._may_have_holes(tp):
            return False
        if self._doubted.get(tp) == (want, offset):
            return False
        self._doubted[tp] = (want, offset)
        return True

    def _may_have_holes(self, tp: TP) -> bool:
        return tp.topic in self.app.compacted_topics or self._is_changelog_tp(tp)

    async def _gone_before(self, tp: TP, offset: int) -> int:
        """Return how many offsets before this one retention has removed from the log unread."""
        want = self._next.get(tp)
        if want is None or offset <= want or self._may_have_holes(tp):
            return 0
        start = (await self.earliest_offsets(tp))[tp]
        return min(max(start - want, 0), offset - want)

    def _expect(self, tp: TP, offset: int, gone: int) -> None:
        """Note a record that is about to be delivered, and what is missing before it."""
        want = self._next.get(tp)
        doubted = self._doubted.pop(tp, None)
        if self.app.topics.acks_enabled_for(tp.topic):
            if want is None:
                self._ledgers.of(tp).first(offset)
            elif offset > want:
                self._ledgers.of(tp).skip(want, offset)
                if gone:
                    self._report_expired(tp, want, gone)
            elif offset < want:
                self.log.warning("%s: the log begins anew at %s: was it deleted?", tp, offset)
                self._committed_offset.pop(tp, None)
                self._ledgers[tp] = Ledger.at(offset)
            elif doubted is not None:  # the records were there after all
                metrics.OFFSET_JUMPS.labels(tp.topic).inc(doubted[1] - want)
                self.log.error("%s: jumped from %s to %s, and went back", tp, want, doubted[1])
        self._next[tp] = offset + 1
        self._read_offset[tp] = offset - 1  # the base loop sees no gap and no repeat

    def _report_expired(self, tp: TP, want: int, gone: int) -> None:
        metrics.EXPIRED.labels(tp.topic).inc(gone)
        self.log.error(
            "%s: retention removed offsets %s to %s before this group had read them. "
            "Let `vigil reconcile` look in S3, and raise VIGIL_RETENTION_HOURS.",
            tp,
            want,
            want + gone - 1,
        )

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch a partition again whose queue was full, unless it waits for another reason."""
        if tp in self._paused_partitions or tp not in self.assignment():
            self._buffered_partitions.discard(tp)
        else:
            super().on_buffer_drop(tp)

    # -- rebalancing

    async def on_partitions_revoked(self, revoked: Set[TP]) -> None:
        """End work in hand and commit it, and only then forget what was acknowledged."""
        self._seek_due = True
        self.interrupted.set()
        self._get_active_partitions().difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self._on_partitions_revoked(revoked)
        with ack_lock:
            self._abandon_in_hand(revoked)
            for tp in revoked:
                self._forget(tp)

    async def on_partitions_assigned(self, assigned: Set[TP], generation_id: int = 0) -> None:
        """Take partitions; nothing of them is delivered before they are positioned."""
        self._seek_due = True
        self.stop_flow()  # a worker that had no partitions is still running
        self.app.flow_control.suspend()
        await super().on_partitions_assigned(assigned, generation_id)

    # -- acknowledgement

    def abandon(self, message: Message) -> None:
        """Let go of a delivered record that was not processed: it holds the floor down."""
        with ack_lock:
            message.acked = True  # later acknowledgements of it count for nothing
            self._unacked_messages.discard(message)

    def ack(self, message: Message) -> bool:
        """Note a record as processed, unless the stream only skipped it."""
        if not message.tracked and (
            message.generation_id != self.app.consumer_generation_id
            or not self.app.flow_control.is_active()
        ):
            self.abandon(message)
            return False
        return super().ack(message)

    # -- committing

    async def maybe_wait_for_commit_to_finish(self) -> bool:
        """Wait for a commit in progress; what was processed meanwhile is still to be committed.

        Faust takes the one for the other, so that work which a worker ended before giving its
        partitions away came again elsewhere.
        """
        while self._commit_fut is not None:
            await asyncio.wait([self._commit_fut])
        return False

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (
            tp for tp in list(self._ledgers) if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        with ack_lock:
            ledger = self._ledgers.get(tp)
            return None if ledger is None else ledger.due()

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return True  # the ledger has compared it with what the broker knows

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        if not await self._updates_stand():
            return False
        assignment = self.assignment()
        committed = await super()._commit_offsets(offsets, start_new_transaction)
        if committed:
            with ack_lock:
                for tp, offset in offsets.items():
                    if tp in assignment and (ledger := self._ledgers.get(tp)) is not None:
                        ledger.commit(offset)
        return committed

    async def _updates_stand(self) -> bool:
        """Wait for the broker to take all table updates; commits without them would lose them."""
        producer = self.app.producer
        if not await all_sent(producer.buffer, self.app.conf.broker_request_timeout):
            self.log.warning("Table updates are not being sent: nothing is committed")
            return False
        await producer.flush()
        await asyncio.sleep(0)  # errors are told in callbacks of what flush waited for
        if lost := self.app.send_errors.first:
            end_process(f"A table update was not taken by Kafka: {lost!r}.")
            return False
        return True

    # -- what is seen from outside

    def lags(self) -> dict[TP, int]:
        """Return how many offsets of each source lie above what is committed."""
        lags = {}
        for tp, ledger in list(self._ledgers.items()):
            end = self.highwater(tp) if tp in self.assignment() else None
            if end is not None:
                lags[tp] = max(0, end - (ledger.committed or 0))
        return lags
