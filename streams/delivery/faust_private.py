"""Every private name of Faust and aiokafka that Vigil uses, under names of our own.

Faust 0.15.3, mode 0.7.1 and aiokafka 0.14.0 have no public way to do what streams/delivery needs.
The classes here give their private parts public names, and turn their private hooks into methods
that a subclass overrides. The rules are elsewhere; an upgrade of Faust or aiokafka touches this
file. pins.py refuses other versions. tests/unit/streams/test_causes.py and
tests/integration/test_delivery.py show whether an upgrade works.

The one exception is streams/aiokafka_fixes.py, which programs without Faust use too.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Set
from contextlib import contextmanager
from typing import Any, NoReturn

import faust
import faust.tables
from aiokafka.consumer.group_coordinator import HeartbeatRequest, SyncGroupRequest
from aiokafka.protocol.produce import ProduceRequest
from faust.stores import rocksdb
from faust.streams import _current_event
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage, ack_lock
from mode.utils.futures import notify

__all__ = [
    "AppBase",
    "ConsumerBase",
    "ConsumerMessage",
    "ConsumerThreadBase",
    "HeartbeatRequest",
    "ProduceRequest",
    "ProducerBase",
    "RecoveryBase",
    "StoreBase",
    "SyncGroupRequest",
    "TableManagerBase",
    "WorkerBase",
    "ack_lock",
    "current_event_is",
    "on_generation_reset",
    "set_fetch_wait_ms",
    "wrap_client_send",
    "wrap_group_requests",
]

# -- acknowledgements

# Faust's compiled stream iterator does what Consumer.ack does by itself. It searches for an offset
# in `_acked_index[tp]`, adds it there and appends it to `_acked[tp]`. So the first gives it our own
# set of processed offsets, and the second takes the offset and forgets it.


class AckedIndex:
    """`_acked_index`: by partition, the set of processed offsets."""

    def __init__(self, acked: Callable[[TP], set[int] | None]) -> None:
        self._acked = acked

    def __getitem__(self, tp: TP) -> set[int]:
        acked = self._acked(tp)
        return set() if acked is None else acked  # not ours: counts for nothing

    def pop(self, tp: TP, default: Any = None) -> Any:
        """Keep it: our consumer forgets a partition, after the last commit."""
        return default


class DiscardingList:
    """Takes what is appended and keeps none of it."""

    def append(self, offset: int) -> None:
        """Forget."""


class AckedLists:
    """`_acked`: nothing reads the lists."""

    _list = DiscardingList()

    def __getitem__(self, tp: TP) -> DiscardingList:
        return self._list

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def pop(self, tp: TP, default: Any = None) -> Any:
        """Nothing to forget."""
        return default


# -- the process


class WorkerBase(faust.Worker):
    """Faust's process around an app, which waits a second before it closes the event loop."""

    async def before_close(self) -> None:
        """Wait for what has to end before the event loop is closed."""
        raise NotImplementedError

    async def _sentinel_task(self) -> None:
        await self.before_close()


# -- the consumer


class ConsumerBase(driver.Consumer):
    """Faust's consumer on aiokafka. A subclass overrides the methods of the first part."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._acked_index = AckedIndex(self.acked_offsets)
        self._acked = AckedLists()

    # What Faust asks, answered by the subclass.

    def acked_offsets(self, tp: TP) -> set[int] | None:
        """Return the set that takes a partition's processed offsets; None: it is not ours."""
        raise NotImplementedError

    def partitions_to_commit(self) -> Iterable[TP]:
        """Return the partitions of which something may be committed."""
        raise NotImplementedError

    def offset_to_commit(self, tp: TP) -> int | None:
        """Return what is to be committed of a partition; None: nothing."""
        raise NotImplementedError

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; return whether the broker took it."""
        raise NotImplementedError

    def make_thread(self) -> Any:
        """Return the thread that aiokafka's consumer runs in."""
        raise NotImplementedError

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (
            tp
            for tp in self.partitions_to_commit()
            if topics is None or tp in topics or tp.topic in topics
        )

    def _new_offset(self, tp: TP) -> int | None:
        return self.offset_to_commit(tp)

    def _should_commit(self, tp: TP, offset: int) -> bool:
        return True  # the ledger has compared it with what the broker has

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        return await self.commit_offsets(offsets)

    def _new_consumer_thread(self) -> Any:
        return self.make_thread()

    async def maybe_wait_for_commit_to_finish(self) -> bool:
        """Wait for a commit in progress; what was processed since then is still to be committed.

        Faust returns True then, and its caller commits nothing more. Work that a worker finished
        before it gave its partitions away was done again elsewhere.
        """
        while self._commit_fut is not None:
            await asyncio.wait([self._commit_fut])
        return False

    # What the subclass may use.

    async def send_commit(self, offsets: Mapping[TP, int]) -> bool:
        """Send a commit to the broker; return whether it took it."""
        if not await self._commit(offsets):
            return False
        self.app.tables.on_commit(offsets)
        self.app.monitor.on_tp_commit(offsets)
        return True

    def forget_offsets(self, tp: TP) -> None:
        """Forget what Faust keeps about a partition."""
        for state in (self._gap, self._read_offset, self._committed_offset):
            state.pop(tp, None)

    def note_committed(self, tp: TP, offset: int | None) -> None:
        """Set below which offset Faust's iterator acknowledges nothing; None: it takes all."""
        if offset is None:
            self._committed_offset.pop(tp, None)
        else:
            self._committed_offset[tp] = offset

    def set_read_offset(self, tp: TP, offset: int | None) -> None:
        """Set what Faust's loop takes for the newest offset read, before it compares the next.

        One less than the next record's offset: it finds neither a gap, which it would count as
        processed, nor a repeat, which it would drop. None: it compares nothing.
        """
        self._read_offset[tp] = offset

    def discard_unacked(self, message: Message) -> None:
        """Take a message out of those that `wait_empty` waits for."""
        self._unacked_messages.discard(message)

    def unacked(self, tps: Set[TP]) -> list[Message]:
        """Return the messages of these partitions that are in progress."""
        return [message for message in self._unacked_messages if message.tp in tps]

    def count_acked(self, count: int) -> None:
        """Count towards commits by number of events."""
        self._n_acked += count

    def wake_ack_waiters(self) -> None:
        """Let those that wait for work in progress check again."""
        notify(self._waiting_for_ack)

    def fetchable(self) -> set[TP]:
        """Return the partitions that are fetched; the set is live and changes under a fetch."""
        active: set[TP] = self._get_active_partitions()
        return active

    def paused(self) -> Set[TP]:
        """Return the partitions that are paused."""
        paused: set[TP] = self._paused_partitions
        return paused

    def buffers_full(self) -> bool:
        """Return whether some partition is not fetched because its queue is full."""
        return bool(self._buffered_partitions)

    def forget_full_buffer(self, tp: TP) -> None:
        """Forget that a partition's queue is full, without fetching it again."""
        self._buffered_partitions.discard(tp)

    def stop_fetching(self, tps: Set[TP]) -> None:
        """Take partitions out of those that are fetched or paused."""
        self._get_active_partitions().difference_update(tps)
        self._paused_partitions.difference_update(tps)

    async def fetch(self, active: Set[TP], timeout: float) -> Mapping[TP, list[Any]]:
        """Return what aiokafka has of these partitions; an empty set means all of them."""
        records: Mapping[TP, list[Any]] = await self._getmany(active, timeout)
        return records

    def message_of(self, tp: TP, record: Any) -> ConsumerMessage:
        """Return a record as Faust's streams take it."""
        return self._to_message(tp, record)

    def is_changelog(self, tp: TP) -> bool:
        """Return whether a partition is one of a table's changelog."""
        return bool(self._is_changelog_tp(tp))

    def clear_source_queues(self) -> None:
        """Empty the queues of streams; not the queue from which tables are recovered."""
        for queue in list(self.app.flow_control._queues):
            if queue is not self.app.tables.changelog_queue:
                queue.clear()

    async def end_work_of(self, revoked: Set[TP]) -> None:
        """Let the app wait for work in progress, and commit it."""
        await self._on_partitions_revoked(revoked)

    def client(self) -> Any:
        """Return aiokafka's consumer; to be used in its own thread alone."""
        return self._thread._ensure_consumer()

    async def in_client_thread(self, action: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run a coroutine function in the thread of aiokafka's consumer."""
        return await self._thread.call_thread(action, *args)

    async def stop_heartbeats(self) -> None:
        """Send the group no more heartbeats; a static member does not leave its group otherwise."""
        coordinator = self.client()._coordinator
        await self.in_client_thread(coordinator._stop_heartbeat_task)

    # The table updates that must reach Kafka before a commit.

    def producer_buffer(self) -> Any:
        """Return the buffer that messages sent in the background wait in."""
        return self.app.producer.buffer

    async def flush_producer(self) -> None:
        """Wait for all that was handed to aiokafka's producer."""
        if (client := self.app.producer._producer) is not None:
            await client.flush()
            await asyncio.sleep(0)  # errors are reported in callbacks of what flush waited for


class ConsumerThreadBase(driver.AIOKafkaConsumerThread):
    """Faust's thread of aiokafka's consumer."""

    def client_made(self, client: Any) -> None:
        """Adapt the client before it is started."""

    def client_started(self, client: Any, coordinator: Any) -> None:
        """Adapt the client once it is started; it joins the group only later."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        self.client_made(client)
        return client

    async def on_start(self) -> None:
        """Start the client."""
        await super().on_start()
        coordinator = getattr(self._consumer, "_coordinator", None)
        if coordinator is not None:
            self.client_started(self._consumer, coordinator)


def set_fetch_wait_ms(client: Any, wait_ms: int) -> None:
    """Set how long the broker may hold a fetch back; before the client is started."""
    client._fetch_max_wait_ms = wait_ms


# -- the group and the producer, for the fence

Send = Callable[..., Awaitable[Any]]


def wrap_group_requests(coordinator: Any, wrap: Callable[[Send], Send]) -> None:
    """Let all requests to the group's coordinator pass through `wrap(send)`: heartbeats, joins."""
    coordinator._send_req = wrap(coordinator._send_req)


def on_generation_reset(coordinator: Any, refused: Callable[[], None]) -> None:
    """Call `refused` wherever the group has refused this member; not at a regular end."""
    reset = coordinator.reset_generation

    def reset_generation() -> None:
        if not coordinator._closing.done():
            refused()
        reset()

    coordinator.reset_generation = reset_generation


def wrap_client_send(client: Any, wrap: Callable[[Send], Send]) -> None:
    """Let all requests of a client pass through `wrap(send)`, the last step before the socket."""
    client.send = wrap(client.send)


class ProducerBase(driver.Producer):
    """Faust's producer."""

    def client_made(self, client: Any) -> None:
        """Adapt the network client of aiokafka's producer before it is started."""

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        self.client_made(producer.client)
        return producer


# -- tables


class TableManagerBase(faust.tables.TableManager):
    """Faust's manager of tables, which starts when `ready_to_start` returns."""

    _recovery: Any = None

    def make_recovery(self) -> Any:
        """Return the service that recovers tables."""
        raise NotImplementedError

    async def ready_to_start(self) -> None:
        """Return when the tables can start."""

    @property
    def recovery(self) -> Any:
        """The recovery of the tables; made on first use."""
        if self._recovery is None:
            self._recovery = self.make_recovery()
        return self._recovery

    async def on_start(self) -> None:
        """Declare the tables and start their recovery; Faust sleeps a second before."""
        await self.ready_to_start()
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class RecoveryBase(Recovery):
    """Faust's recovery of tables, which reads each changelog from where `recover_from` says."""

    async def recover_from(
        self, consumer: Any, known: Mapping[TP, int | None], ends: Mapping[TP, int]
    ) -> Mapping[TP, int]:
        """Return the offset after which each changelog is read.

        `known`: what the disk has (None: nothing). `ends`: the newest offset of the changelogs of
        active partitions.
        """
        raise NotImplementedError

    async def _build_offsets(
        self, consumer: Any, tps: Set[TP], destination: MutableMapping[TP, Any], title: str
    ) -> None:
        ends = self.active_highwaters if title == "active" else {}
        known = {tp: destination[tp] for tp in sorted(tps)}
        for tp, offset in (await self.recover_from(consumer, known, ends)).items():
            destination[tp] = offset  # a Counter: its `update` would add


class StoreBase(rocksdb.Store):
    """Faust's store of tables on RocksDB. All errors of rocksdict pass through `translated`."""

    def translated(self, error: Exception) -> Exception:
        """Return what is raised in place of an error."""
        return error

    def before_recovery(self, partition: int) -> None:
        """Check a partition's files; the recovery that follows fills them where they are empty."""

    def open_partition(self, partition: int) -> rocksdb.DB:
        """Return a partition's database, opened where it is not open yet."""
        return self._db_for_partition(partition)

    def opened_partitions(self) -> list[int]:
        """Return the partitions whose files are open."""
        return list(self._dbs)

    def _raise(self, error: Exception) -> NoReturn:
        translated = self.translated(error)
        try:
            if translated is error:
                raise error
            raise translated from error
        finally:
            del translated, error  # a frame that names its own error keeps the files open

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._raise(error)

    async def _try_open_db_for_partition(
        self, partition: int, *args: Any, **options: Any
    ) -> rocksdb.DB:
        self.before_recovery(partition)
        return await super()._try_open_db_for_partition(partition, *args, **options)

    def _open_for_partition(self, partition: int) -> rocksdb.DB:
        with self._errors():
            return super()._open_for_partition(partition)

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the changelog offset that the files reach; None: recover all of the changelog."""
        self.before_recovery(tp.partition)
        with self._errors():
            return super().persisted_offset(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note up to where of the changelog the files reach."""
        try:
            super().set_persisted_offset(tp, offset)
        except Exception as error:
            self._raise(error)

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Write what was read from the changelog."""
        with self._errors():
            super().apply_changelog_batch(batch, to_key, to_value)

    def _get(self, key: bytes) -> bytes | None:
        try:
            return super()._get(key)
        except Exception as error:
            self._raise(error)

    def _set(self, key: bytes, value: bytes | None) -> None:
        try:
            super()._set(key, value)
        except Exception as error:
            self._raise(error)

    def _del(self, key: bytes) -> None:
        with self._errors():
            super()._del(key)

    def _contains(self, key: bytes) -> bool:
        with self._errors():
            return super()._contains(key)

    def _visible_items(self, db: rocksdb.DB) -> Iterator[tuple[bytes, bytes]]:
        with self._errors():
            yield from super()._visible_items(db)

    def _visible_keys(self, db: rocksdb.DB) -> Iterator[bytes]:
        with self._errors():
            yield from super()._visible_keys(db)


@contextmanager
def current_event_is(event: Any) -> Iterator[None]:
    """Let tables take `event` for the one that their stream works on; keep a reference to it."""
    token = _current_event.set(weakref.ref(event))
    try:
        yield
    finally:
        _current_event.reset(token)


# -- the app


class AppBase(faust.App):
    """A Faust app with a consumer and a producer of its own."""

    consumer_class: type[ConsumerBase]
    producer_class: type[ProducerBase]

    def agent_failed(self, agent: Any, error: BaseException) -> None:
        """Act on an exception of an agent; Faust would acknowledge its event and restart it."""
        raise error

    @property
    def has_consumer(self) -> bool:
        """Whether the consumer was made; asking for `consumer` makes it."""
        return self._consumer is not None

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer = self.consumer_class
        transport.Producer = self.producer_class
        return transport

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:
        self.agent_failed(agent, exc)
