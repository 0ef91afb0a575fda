"""What may be committed: a floor under an unbroken run of acknowledgements.

And only after the table updates before it stand in Kafka.

Private parts of Faust 0.15.3 this stands on, and why:
  _acked_index, _acked, _committed_offset, _unacked_messages
                             the compiled stream iterator writes acknowledgements there itself:
                             the first two are views of our ledgers
  _gap                       emptied with the rest; nothing is put there any more
  _new_offset, _filter_tps_with_pending_acks, _should_commit, _commit_offsets, _commit_fut,
  maybe_wait_for_commit_to_finish
                             what is to be committed, and the commit
  app.producer.buffer, app.producer._producer
                             to wait for the table updates of what is to be committed
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ack_lock

from streams.delivery.barrier import all_sent
from streams.delivery.faust_compat import Ledgers
from streams.process_exit import exit_process


class CommittingConsumer(driver.Consumer):
    """Faust's consumer with our ledgers: commits pass nothing that was not processed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ledgers = Ledgers()
        self._acked_index = self._ledgers.acked_index  # written by the compiled stream iterator
        self._acked = self._ledgers.acked_lists

    def _forget(self, tp: TP) -> None:
        self._ledgers.pop(tp, None)
        for state in (self._gap, self._committed_offset):
            state.pop(tp, None)

    # -- acknowledgement

    def abandon(self, message: Message) -> None:
        """Let go of a delivered record that was not processed: it holds the floor down."""
        with ack_lock:
            message.acked = True  # later acknowledgements of it count for nothing
            self._unacked_messages.discard(message)

    def _abandon_in_hand(self, tps: Set[TP]) -> None:
        # Work that outlived its partition's positioning is delivered again: when it ends
        # now, that says nothing about the delivery to come.
        for message in [m for m in self._unacked_messages if m.tp in tps]:
            self.abandon(message)

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

    def hold_commit(self, tp: TP, offset: int) -> Callable[[], None]:
        """Let no commit pass an offset until the returned function is called.

        For an event whose effects are written together with others'. Once positions have moved
        the hold is void: the event comes again.
        """
        with ack_lock:
            ledger = self._ledgers.get(tp)
            if ledger is not None:  # else not ours any more
                ledger.hold(offset)

        def release() -> None:
            with ack_lock:
                if ledger is not None:
                    ledger.release(offset)

        return release

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Let what is in memory be written, then commit."""
        for write in self.app.before_commit:
            await write()
        return await super().commit(topics, start_new_transaction)

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
        ours = {tp: offset for tp, offset in offsets.items() if tp in assignment}
        if not ours or not await self._commit(ours):
            return False
        self.app.tables.on_commit(ours)
        self.app.monitor.on_tp_commit(ours)
        with ack_lock:
            for tp, offset in ours.items():
                if (ledger := self._ledgers.get(tp)) is not None:
                    ledger.commit(offset)
                    self._committed_offset[tp] = offset
        return True

    async def _updates_stand(self) -> bool:
        """Wait for the broker to take all table updates; commits without them would lose them.

        Only for those there are now: Faust's own flush waits until there are none, which
        under a backlog never comes.
        """
        producer = self.app.producer
        if not await all_sent(producer.buffer, self.app.conf.broker_request_timeout):
            self.log.warning("Table updates are not being sent: nothing is committed")
            return False
        if (client := producer._producer) is not None:
            await client.flush()
            await asyncio.sleep(0)  # errors are told in callbacks of what flush waited for
        if lost := self.app.send_errors.first:
            exit_process(f"A table update was not taken by Kafka: {lost!r}.")
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
