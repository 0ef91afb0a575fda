"""Dead letters in Kafka: read with what became of them, sent again, dropped.

A letter's mark comes after it, in the same partition of the same topic. Retention removes a
partition from its front: no mark is removed before its letter. One pass reads everything.

    dead-letter, partition 3   … letter 17 | letter 18 | mark of 17: retried | letter 21 …
"""

import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from domain.errors import ConfigError, InvalidEventError, StoreError
from domain.events import DeadLetter, DeadLetterMarked, parse
from domain.times import utc_ms
from streams import topics
from streams.codec import MAX_ORIGINAL_BYTES
from streams.kafka import client_options
from streams.sender import KafkaSender
from streams.settings import Settings
from streams.topic_admin import admin, describe

Position = tuple[int, int]
"""(partition, offset) in the topic of dead letters."""
WAIT_MS = 1_000
READ_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, its position, and what became of it."""

    position: Position
    letter: DeadLetter
    mark: DeadLetterMarked | None

    @property
    def id(self) -> str:
        """Its name in commands: partition@offset."""
        return f"{self.position[0]}@{self.position[1]}"

    @property
    def original(self) -> bytes:
        """The message's bytes, at most MAX_ORIGINAL_BYTES of them."""
        return base64.b64decode(self.letter.original_base64)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A record as it is in Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class DeadLetters:
    """The topic of dead letters. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = topics.DEAD_LETTER.name_for(settings)
        self._sender = KafkaSender(settings)

    async def __aenter__(self) -> "DeadLetters":
        """Connect; StoreError where no broker answers."""
        await self._sender.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sender.__aexit__(None, None, None)

    async def letters(
        self, *, source: str | None = None, done: bool = False
    ) -> AsyncIterator[Letter]:
        """Yield the letters of `source` (a topic), oldest first by partition.

        With `done`, those that were retried or dropped too. Marks are read first: they alone are
        kept in memory.
        """
        ends = await self._ends(self._topic)
        marks: dict[Position, DeadLetterMarked] = {}
        async for raw in self._read(self._topic, ends):
            event = _event(raw)
            if isinstance(event, DeadLetterMarked):
                marks[event.partition, event.offset] = event
        async for raw in self._read(self._topic, ends):
            event = _event(raw)
            if not isinstance(event, DeadLetter) or (source and event.source != source):
                continue
            mark = marks.get((raw.partition, raw.offset))
            if done or mark is None:
                yield Letter((raw.partition, raw.offset), event, mark)

    async def find(self, ids: Sequence[str]) -> list[Letter]:
        """Return the letters with these names; ConfigError if one does not exist."""
        wanted = [_position(each) for each in ids]
        found = {
            each.position: each async for each in self.letters(done=True) if each.position in wanted
        }
        for name, position in zip(ids, wanted, strict=True):
            if position not in found:
                raise ConfigError(f"There is no dead letter {name}; `vigil dlq list` shows all.")
        return [found[position] for position in dict.fromkeys(wanted)]

    async def retry(self, letter: Letter) -> None:
        """Send the original message to where it came from, under its key; then mark the letter.

        After a crash in between it is sent twice, which is harmless. Raises ConfigError where
        the message is no longer complete.
        """
        source = letter.letter.source
        if source not in {topic.full_name for topic in topics.TOPICS}:
            raise ConfigError(
                f"Dead letter {letter.id} came from {source}, which is not a topic of this Vigil."
            )
        key, value = await self._message(letter)
        partition = letter.letter.partition if key is None else None
        await self._sender.send_bytes(source, key, value, partition)
        await self._mark(letter.position, "retried")

    async def drop(self, letter: Letter) -> None:
        """Mark a letter as done; it stays readable until its retention ends."""
        await self._mark(letter.position, "dropped")

    async def keep(self, letter: DeadLetter, did: Literal["retried", "dropped"]) -> None:
        """Keep a letter from another place, with what became of it."""
        position = await self._sender.send(letter)
        await self._mark(position, did)

    async def _mark(self, position: Position, did: Literal["retried", "dropped"]) -> None:
        partition, offset = position
        at_ms = utc_ms()
        mark = DeadLetterMarked(partition=partition, offset=offset, did=did, at_ms=at_ms)
        await self._sender.send(mark, partition=partition)

    async def _message(self, letter: Letter) -> tuple[bytes | None, bytes]:
        """Return key and bytes: the letter's, or the source's if the letter is incomplete."""
        key_text, original = letter.letter.message_key, letter.original
        whole = len(original) < MAX_ORIGINAL_BYTES
        if whole and (key_text is None or ("\ufffd" not in key_text and len(key_text) < 1_000)):
            return (None if key_text is None else key_text.encode()), original
        position = letter.letter.partition, letter.letter.offset
        raw = await self._record(letter.letter.source, *position)
        if raw is None or not (raw.value or b"").startswith(original):
            raise ConfigError(
                f"Dead letter {letter.id} keeps only a part of its message, and "
                f"{letter.letter.source} no longer has it: drop it with `vigil dlq drop`."
            )
        return raw.key, raw.value or b""

    async def _record(self, topic: str, partition: int | None, offset: int | None) -> _Raw | None:
        if partition is None or offset is None:
            return None
        if offset >= (await self._ends(topic)).get(partition, 0):
            return None
        reading = self._read(topic, {partition: offset + 1}, {partition: offset})
        async with aclosing(reading) as records:
            raw = await anext(records, None)
        return raw if raw is not None and raw.offset == offset else None

    # -- reading up to where the topic ended

    @asynccontextmanager
    async def _consumer(self, topic: str) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=topics.DEAD_LETTER.max_message_bytes,
        )
        try:
            await consumer.start()
            yield consumer
        except (KafkaError, OSError) as error:
            raise StoreError(f"{topic} cannot be read: {error!r}. Check the brokers.") from error
        finally:
            await consumer.stop()

    async def _ends(self, topic: str) -> dict[int, int]:
        """Return the end of each of a topic's partitions; ConfigError where it is missing."""
        async with admin(self._settings, 10.0) as client:
            state = (await describe(client, [topic])).get(topic)
        if state is None:
            raise ConfigError(f"There is no topic {topic}: run `vigil topics ensure`.")
        asked = [TopicPartition(topic, partition) for partition in range(state.partitions)]
        async with self._consumer(topic) as consumer:
            ends = await consumer.end_offsets(asked)
        return {position.partition: end for position, end in ends.items()}

    async def _read(
        self, topic: str, ends: dict[int, int], starts: dict[int, int] | None = None
    ) -> AsyncGenerator[_Raw, None]:
        """Yield the records before `ends`; from `starts` on, or from where retention left it."""
        async with self._consumer(topic) as consumer:
            for partition, end in ends.items():
                position = TopicPartition(topic, partition)
                consumer.assign([position])
                if starts is None:
                    await consumer.seek_to_beginning(position)
                else:
                    consumer.seek(position, starts[partition])
                quiet_since = time.monotonic()
                while await consumer.position(position) < end:
                    batch = await consumer.getmany(position, timeout_ms=WAIT_MS, max_records=50)
                    for record in batch.get(position, []):
                        quiet_since = time.monotonic()
                        if record.offset < end:
                            yield _Raw(partition, record.offset, record.key, record.value)
                    if time.monotonic() - quiet_since > READ_TIMEOUT_S:
                        raise StoreError(
                            f"Kafka did not deliver all of {topic}. Check the brokers."
                        )


def _event(raw: _Raw) -> object:
    try:
        return parse(raw.value or b"")
    except InvalidEventError:
        return None  # not of this program's making


def _position(name: str) -> Position:
    partition, _, offset = name.partition("@")
    if not (partition.isdigit() and offset.isdigit()):
        raise ConfigError(
            f"{name!r} is not the name of a dead letter: write PARTITION@OFFSET, such as 3@17."
        )
    return int(partition), int(offset)
