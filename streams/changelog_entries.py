"""Moves the entries of changelogs to the partitions of their keys, when topics grow.

The logs are read while workers still run. Once they have stopped, only the end is left to read.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.kafka import client_options
from streams.settings import Settings
from streams.topics import MAX_REQUEST_BYTES, MIB, partition_of

IN_FLIGHT = 1_000
"""Records that are sent together: each has the value of one key, some 10 KiB."""
FETCH_WAIT_MS = 50

Sent = tuple[str, int, bytes, bytes | None]
"""Topic, partition, key, value."""


class MisplacedEntries:
    """The newest value of each key that is in another partition than its own.

    `counts`: each changelog and the number of its partitions so far. `partitions`: how many it
    gets. Holds one value for each such key in memory, some 10 KiB a camera. Use as an async context
    manager; raises what aiokafka raises.
    """

    def __init__(self, settings: Settings, counts: Mapping[str, int], partitions: int) -> None:
        self._settings = settings
        self._tps = [
            TopicPartition(name, at) for name, count in counts.items() for at in range(count)
        ]
        self._partitions = partitions
        self._found: dict[TopicPartition, dict[bytes, bytes]] = {tp: {} for tp in self._tps}
        self._consumer = AIOKafkaConsumer(
            **client_options(settings),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))

    async def read(self) -> None:
        """Read on, to where the logs end now."""
        if not self._tps:
            return
        ends = await self._consumer.end_offsets(self._tps)
        unread = set(self._tps)
        while True:
            unread = {tp for tp in unread if await self._consumer.position(tp) < ends[tp]}
            if not unread:
                return
            for tp, records in (await self._consumer.getmany(timeout_ms=FETCH_WAIT_MS)).items():
                for record in records:
                    self._take(tp, record)

    def _take(self, tp: TopicPartition, record: Any) -> None:
        if record.value is None:
            self._found[tp].pop(record.key, None)
        elif self._own(record.key) != tp.partition:
            self._found[tp][record.key] = record.value

    def _own(self, key: bytes) -> int:
        return partition_of(_event_key(key), self._partitions)

    async def move(self) -> int:
        """Move all to their own partitions, which exist; return how many.

        All are written there first, then deleted here: what is killed between is moved again, to
        the same value. No worker may run.
        """
        moved = 0
        async with AIOKafkaProducer(
            **client_options(self._settings),
            acks="all",
            max_request_size=MAX_REQUEST_BYTES,
            max_batch_size=MIB,
        ) as producer:
            while len(self):
                entries = [(tp, key) for tp, found in self._found.items() for key in found]
                await _send(
                    producer,
                    ((tp.topic, self._own(key), key, self._found[tp][key]) for tp, key in entries),
                )
                await _send(producer, ((tp.topic, tp.partition, key, None) for tp, key in entries))
                moved += len(entries)
                await self.read()  # the tombstones, and what a worker wrote against the rule
        return moved


async def _send(producer: AIOKafkaProducer, records: Iterable[Sent]) -> None:
    """Send, and return once the broker has all. So many are in flight that time is not lost."""
    left = iter(records)
    while some := list(islice(left, IN_FLIGHT)):
        pending = [
            await producer.send(topic, value, key=key, partition=partition)
            for topic, partition, key, value in some
        ]
        await asyncio.gather(*pending)


def _event_key(table_key: bytes) -> str:
    """Return the key of the events that an entry belongs to: tables may write it as JSON."""
    text = table_key.decode()
    return str(json.loads(text)) if text.startswith('"') else text
