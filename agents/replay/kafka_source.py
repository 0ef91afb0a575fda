"""The past in Kafka: which offset ranges of which partitions are read, and reading them.

There is no consumer group: partitions are assigned by hand and no offsets are committed. So live
workers and their offsets are not touched.

    partition 3   | deleted by retention | first ···· start ···· at ····· end |  new messages
                                                      read so far
"""

import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import ConfigError, StoreError
from domain.identity import site_of
from streams import topics
from streams.codec import Record
from streams.kafka import client_options
from streams.settings import Settings
from streams.topic_admin import admin, describe
from streams.topics import TopicSpec, partitions_of

WAIT_MS = 1_000
NO_RECORDS_TIMEOUT_S = 30.0
MAX_RECORDS = 1_000
MAX_FETCH_BYTES = 4 * topics.MIB
"""Of one partition in one fetch. A single larger message is still read."""


@dataclass(slots=True)
class PartitionRange:
    """An offset range of one partition, [at, end). `at` moves while it is read."""

    topic: str
    partition: int
    at: int
    end: int
    truncated: bool = False
    """Whether retention has deleted messages that were asked for."""

    @property
    def left(self) -> int:
        """The number of offsets still to read."""
        return max(0, self.end - self.at)

    def as_json(self) -> list[Any]:
        """Return the range for the bookmark."""
        return [self.topic, self.partition, self.at, self.end]


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where reading starts: at a message time (UTC ms), at an offset, or at the first message."""

    from_ms: int | None = None
    from_offset: int | None = None


@dataclass
class KafkaSource:
    """Reads topics. Use as an async context manager."""

    settings: Settings
    _consumer: Any = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Connect. Raises StoreError if no broker answers, ConfigError if access is denied."""
        async with admin(self.settings, 10.0):
            pass  # its error text says what is wrong
        self._consumer = AIOKafkaConsumer(
            **client_options(self.settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            client_id=f"{self.settings.app_prefix}-replay",
            max_partition_fetch_bytes=MAX_FETCH_BYTES,
            max_poll_records=MAX_RECORDS,
        )
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise StoreError(
                f"Kafka topics cannot be read: {error!r}. Check the brokers."
            ) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def ranges(
        self,
        spec: TopicSpec,
        start: StartPosition,
        cameras: Iterable[str] = (),
        key: str = "camera",
    ) -> list[PartitionRange]:
        """Return the offset ranges to read of a topic, up to its end now.

        With `cameras`, only the partitions that may have their messages. `key` is the topic's
        message key: camera or site. Raises ConfigError if the topic does not exist.
        """
        name = spec.name_for(self.settings)
        async with admin(self.settings, 10.0) as client:
            state = (await describe(client, [name])).get(name)
        if state is None:
            raise ConfigError(f"There is no topic {name}: run `vigil topics ensure`.")
        keys = {camera if key == "camera" else site_of(camera) for camera in cameras}
        partitions = {at for each in keys for at in partitions_of(each, state.partitions)}
        topic_partitions = [
            TopicPartition(name, partition)
            for partition in range(state.partitions)
            if not keys or partition in partitions
        ]
        try:
            first = await self._consumer.beginning_offsets(topic_partitions)
            ends = await self._consumer.end_offsets(topic_partitions)
            times: dict[Any, Any] = {}
            if start.from_ms is not None:
                asked = dict.fromkeys(topic_partitions, start.from_ms)
                times = await self._consumer.offsets_for_times(asked)
        except (KafkaError, OSError) as error:
            raise StoreError(
                f"The offsets of {name} cannot be read: {error!r}. Check the brokers."
            ) from error
        return [
            _range(each, first[each], ends[each], start, times.get(each))
            for each in topic_partitions
        ]

    async def first_offsets(self, ranges: Sequence[PartitionRange]) -> dict[tuple[str, int], int]:
        """Return the first offset that each partition still has, by topic and partition."""
        topic_partitions = [TopicPartition(part.topic, part.partition) for part in ranges]
        try:
            found = await self._consumer.beginning_offsets(topic_partitions)
        except (KafkaError, OSError) as error:
            raise StoreError(
                f"The first offsets cannot be read: {error!r}. Check the brokers."
            ) from error
        return {(each.topic, each.partition): offset for each, offset in found.items()}

    async def read(
        self, ranges: Sequence[PartitionRange]
    ) -> AsyncGenerator[tuple[PartitionRange, list[Record]], None]:
        """Yield the records of the ranges in batches. A range's `at` moves when the next is read.

        Each partition is in order. The partitions are read in parallel.
        """
        unread = {TopicPartition(each.topic, each.partition): each for each in ranges if each.left}
        try:
            self._consumer.assign(list(unread))
            for partition, unread_range in unread.items():
                self._consumer.seek(partition, unread_range.at)
            quiet_since = time.monotonic()
            while unread:
                batches = await self._consumer.getmany(*unread, timeout_ms=WAIT_MS)
                for partition, messages in batches.items():
                    unread_range = unread[partition]
                    records = [_record(each) for each in messages if each.offset < unread_range.end]
                    if records:
                        quiet_since = time.monotonic()
                        yield unread_range, records
                        unread_range.at = records[-1].offset + 1
                for partition, unread_range in list(unread.items()):
                    # The position moves over offsets without messages, such as compacted ones.
                    position = await self._consumer.position(partition)
                    unread_range.at = min(unread_range.end, max(unread_range.at, position))
                    if not unread_range.left:
                        del unread[partition]
                        self._consumer.pause(partition)
                if time.monotonic() - quiet_since > NO_RECORDS_TIMEOUT_S:
                    topic = next(iter(unread.values())).topic
                    raise StoreError(
                        f"Kafka did not deliver all messages of {topic}. Check the brokers."
                    )
        except (KafkaError, OSError) as error:
            raise StoreError(
                f"Kafka topics cannot be read: {error!r}. Check the brokers."
            ) from error


def _range(
    partition: Any, first: int, end: int, start: StartPosition, at_time: Any
) -> PartitionRange:
    found = PartitionRange(partition.topic, partition.partition, first, end)
    if start.from_offset is not None:
        found.at = min(max(first, start.from_offset), end)
        found.truncated = first > start.from_offset
    elif start.from_ms is not None:
        found.at = end if at_time is None else at_time.offset
        # The first message that is left may not be the first one since `from_ms`.
        found.truncated = first > 0 and (
            first == end if at_time is None else at_time.offset == first
        )
    else:
        found.truncated = first > 0
    return found


def _record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        message.timestamp or 0,
    )
