"""Faust's consumer on aiokafka, with the faults mended that lose events.

One lock, the gate: a position moves only while nothing is fetched or delivered. What is
fetched is delivered or gone back to. Sources are delivered only after they were positioned
in this generation of the group.

Private parts of Faust 0.15.3 this stands on, and why:
  _thread, _thread._ensure_consumer   positions must be set in the client's own thread
  _getmany                            the fetch itself, with a set of our own
  _active_partitions, _paused_partitions, _buffered_partitions, _get_active_partitions
                                      who is fetched just now
  _read_offset                        told before each record, so that the loop around getmany
                                      finds neither a gap to count as processed nor a repeat
  app.flow_control._queues            to empty them where positions move
  wait_first                          under which the base loop hands each record over
  aiokafka's _coordinator._stop_heartbeat_task    to leave, which static members otherwise do not
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import suppress
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP, Message
from faust.types.tuples import ack_lock
from mode.services import WaitResults

from streams import metrics
from streams.delivery.batch import FetchedBatch
from streams.delivery.batching import BatchingConsumer
from streams.delivery.eager import run_eagerly
from streams.delivery.fence_hooks import ConsumerThread
from streams.delivery.ledger import Ledger
from streams.interruption import Interruption


class Consumer(BatchingConsumer):
    """At-least-once delivery of every record of the partitions that are ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = asyncio.Lock()
        self._seek_due = True  # sources not yet positioned in this generation
        self._next: dict[TP, int] = {}  # offset that the next record should have
        self._doubted: dict[TP, tuple[int, int]] = {}  # hole seen once: (wanted, found)
        self.interrupted = Interruption()  # set while the flow is stopped

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _forget(self, tp: TP) -> None:
        super()._forget(tp)
        for state in (self._read_offset, self._next, self._doubted):
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
            self._void_memory()
            for tp in tps:
                self._forget(tp)
                offset = offsets[tp]
                self._ledgers[tp] = Ledger.at(offset)
                if offset is not None:
                    self._next[tp] = self._committed_offset[tp] = offset
        self._seek_due = False

    def _void_memory(self) -> None:
        for void in self.app.on_positioned:
            void()

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
        if not self._get_active_partitions():  # soon again where batches only wait to be begun
            await self.sleep(0.02 if self._buffered_partitions else 0.2)
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
        batch = FetchedBatch.of(
            {tp: (got[0].offset, got[-1].offset) for tp, got in records.items()}
        )
        for tp, some, whole in self._portions(records):
            first = some[0].offset
            if tp in batch.held or tp in self._paused_partitions:
                batch.hold(tp)
                continue
            if self._jumped(tp, first):
                batch.go_back(tp, self._next[tp])
                continue
            gone = await self._gone_before(tp, first)
            if not self.flow_active or generation != self.app.consumer_generation_id:
                break
            self._expect(tp, first, some[-1].offset, gone)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if not (whole and self._grow(tp, some)):
                message = self._batch(tp, some) if whole else self._to_message(tp, some[0])
                # the base loop sees no gap and no repeat
                self._read_offset[tp] = None if whole else first - 1
                yield tp, message
                if not self.flow_active or (whole and not self._taken(message)):
                    break  # delivery may have been interrupted
            batch.delivered(tp, some[-1].offset)
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

    def _expect(self, tp: TP, offset: int, last: int, gone: int) -> None:
        """Note records that are about to be delivered, and what is missing before them."""
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
        self._next[tp] = last + 1

    def _report_expired(self, tp: TP, want: int, gone: int) -> None:
        metrics.EXPIRED.labels(tp.topic).inc(gone)
        self.log.error(
            "%s: retention removed offsets %s to %s before this group had read them. "
            "Let `vigil reconcile` look in S3, and raise VIGIL_RETENTION_HOURS.",
            tp,
            want,
            want + gone - 1,
        )

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Wait for the first of several, and for nothing where the first is done at once."""
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
        if tp in self._paused_partitions or tp not in self.assignment():
            self._buffered_partitions.discard(tp)
        else:
            super().on_buffer_drop(tp)

    # -- rebalancing

    async def leave_group_by_timeout(self, seconds: float) -> None:
        """Take nothing more and let the session end, so that the group deals out anew."""
        self.stop_flow()
        self.app.flow_control.suspend()
        self._seek_due = True
        coordinator = self._thread._ensure_consumer()._coordinator
        await self._thread.call_thread(coordinator._stop_heartbeat_task)
        await asyncio.sleep(seconds)

    async def on_partitions_revoked(self, revoked: Set[TP]) -> None:
        """End work in hand and commit it, and only then forget what was acknowledged."""
        self._seek_due = True
        self.interrupted.set()
        self._get_active_partitions().difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self._on_partitions_revoked(revoked)
        with ack_lock:
            self._abandon_in_hand(revoked)
            self._void_memory()
            for tp in revoked:
                self._forget(tp)
        await self._updates_stand()  # also of what is not committed: later it would be too late
        self.app.fence.release()

    async def on_partitions_assigned(self, assigned: Set[TP], generation_id: int = 0) -> None:
        """Take partitions; nothing of them is delivered before they are positioned."""
        self._seek_due = True
        self.stop_flow()  # a worker that had no partitions is still running
        self.app.flow_control.suspend()
        if assigned:
            self.app.fence.own()
        await super().on_partitions_assigned(assigned, generation_id)
