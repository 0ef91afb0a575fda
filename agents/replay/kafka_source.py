"""The past in Kafka: which ranges of which partitions are read, and reading them.

No group: partitions are assigned by hand, and nothing is committed, so that live workers are not
touched and nobody else's offsets move.

    partition 3   |  gone by retention  | begin ···· from ···· at ····· end |  what comes meanwhile
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
from streams.topics import TopicSpec, partition_of

WAIT_MS = 1_000
NO_RECORDS_TIMEOUT_S = 30.0
MOST_RECORDS = 1_000
FETCHED_BYTES = 4 * topics.MIB
"""Of one partition at once; a single larger message is read all the same."""


@dataclass(slots=True)
class PartitionRange:
    """A stretch of one partition, read up to `at`."""

    topic: str
    partition: int
    at: int
    end: int
    cut: bool = False
    """Retention has removed messages that were asked for."""

    @property
    def left(self) -> int:
        """How many offsets are still to be read."""
        return max(0, self.end - self.at)

    def as_json(self) -> list[Any]:
        """Return it for the bookmark."""
        return [self.topic, self.partition, self.at, self.end]


@dataclass(frozen=True, slots=True)
class StartPosition:
    """Where the past begins: at a time (UTC ms, when messages were sent), an offset, or at all."""

    from_ms: int | None = None
    from_offset: int | None = None


@dataclass
class KafkaSource:
    """A reader of topics. Use as an async context manager."""

    settings: Settings
    _consumer: Any = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Connect; StoreError where no broker answers, ConfigError where none lets us in."""
        async with admin(self.settings, 10.0):
            pass  # it says in words what is wrong
        self._consumer = AIOKafkaConsumer(
            **client_options(self.settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            client_id=f"{self.settings.app_prefix}-replay",
            max_partition_fetch_bytes=FETCHED_BYTES,
            max_poll_records=MOST_RECORDS,
        )
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise StoreError(f"Kafka did not let its topics be read: {error!r}.") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def parts(
        self,
        spec: TopicSpec,
        begin: StartPosition,
        cameras: Iterable[str] = (),
        key: str = "camera",
    ) -> list[PartitionRange]:
        """Return what is to be read of a topic, up to where it ends now.

        With `cameras`, only the partitions that hold them; `key` says what the topic's key is:
        camera or site. ConfigError where the topic is missing.
        """
        name = spec.name_for(self.settings)
        async with admin(self.settings, 10.0) as client:
            state = (await describe(client, [name])).get(name)
        if state is None:
            raise ConfigError(f"There is no topic {name}: run `vigil topics ensure`.")
        keys = {camera if key == "camera" else site_of(camera) for camera in cameras}
        wanted = {partition_of(each, state.partitions) for each in keys}
        places = [
            TopicPartition(name, partition)
            for partition in range(state.partitions)
            if not keys or partition in wanted
        ]
        try:
            first = await self._consumer.beginning_offsets(places)
            ends = await self._consumer.end_offsets(places)
            times: dict[Any, Any] = {}
            if begin.from_ms is not None:
                asked = dict.fromkeys(places, begin.from_ms)
                times = await self._consumer.offsets_for_times(asked)
        except (KafkaError, OSError) as error:
            raise StoreError(f"Kafka did not tell how far {name} reaches: {error!r}.") from error
        return [
            _part(place, first[place], ends[place], begin, times.get(place)) for place in places
        ]

    async def first_kept(self, parts: Sequence[PartitionRange]) -> dict[tuple[str, int], int]:
        """Return where each of the partitions begins now."""
        places = [TopicPartition(part.topic, part.partition) for part in parts]
        try:
            found = await self._consumer.beginning_offsets(places)
        except (KafkaError, OSError) as error:
            raise StoreError(f"Kafka did not tell how far it reaches: {error!r}.") from error
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    async def read(
        self, parts: Sequence[PartitionRange]
    ) -> AsyncGenerator[tuple[PartitionRange, list[Record]], None]:
        """Yield what stands in the parts, batch by batch; `at` moves when the next is asked for.

        Each partition in its own order, the partitions beside each other.
        """
        by_place = {TopicPartition(part.topic, part.partition): part for part in parts if part.left}
        try:
            self._consumer.assign(list(by_place))
            for place, part in by_place.items():
                self._consumer.seek(place, part.at)
            quiet_since = time.monotonic()
            while by_place:
                batches = await self._consumer.getmany(*by_place, timeout_ms=WAIT_MS)
                for place, found in batches.items():
                    part = by_place[place]
                    records = [_record(each) for each in found if each.offset < part.end]
                    if records:
                        quiet_since = time.monotonic()
                        yield part, records
                        part.at = records[-1].offset + 1
                for place, part in list(by_place.items()):
                    part.at = min(part.end, max(part.at, await self._consumer.position(place)))
                    if not part.left:
                        del by_place[place]
                        self._consumer.pause(place)
                if time.monotonic() - quiet_since > NO_RECORDS_TIMEOUT_S:
                    topic = next(iter(by_place.values())).topic
                    raise StoreError(f"Kafka did not give all of {topic}. Check the brokers.")
        except (KafkaError, OSError) as error:
            raise StoreError(f"Kafka did not let its topics be read: {error!r}.") from error


def _part(place: Any, first: int, end: int, begin: StartPosition, at_time: Any) -> PartitionRange:
    part = PartitionRange(place.topic, place.partition, first, end)
    if begin.from_offset is not None:
        part.at = min(max(first, begin.from_offset), end)
        part.cut = first > begin.from_offset
    elif begin.from_ms is not None:
        part.at = end if at_time is None else at_time.offset
        # what was sent just before the first message that is left may have been asked for
        part.cut = first > 0 and (first == end if at_time is None else at_time.offset == first)
    else:
        part.cut = first > 0
    return part


def _record(got: Any) -> Record:
    return Record(got.topic, got.partition, got.offset, got.key, got.value, got.timestamp or 0)
