"""Bytes to events and back, on Kafka. Topics carry bytes: Faust reads nothing in them."""

import asyncio
import base64
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from domain import events
from domain.errors import InvalidEventError, StoreError
from domain.events import AnyEvent, DeadLetter, Event, Tick
from domain.times import utc_ms
from streams import metrics, topics
from streams.topics import TopicSpec

if TYPE_CHECKING:
    from streams.app import App

MAX_ORIGINAL_BYTES = 1_000_000
"""Bytes of an unreadable message that its dead letter keeps."""


class Record(NamedTuple):
    """Where a message is in Kafka, and what it holds."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    """When the message was produced (UTC): log time, the same at every reading."""

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"


def decode(record: Record, expected: TopicSpec) -> AnyEvent:
    """Return the event in a message; raise InvalidEventError with the reason if there is none.

    An event must be under its own key and in a topic it belongs to: otherwise its camera's order
    would be lost.
    """
    if not record.value:
        raise InvalidEventError("message: it is empty")
    event = events.parse(record.value)
    if type(event) not in expected.events:
        raise InvalidEventError(f"type: {event.type} does not belong in {expected.name}")
    if not isinstance(event, Tick) and record.key != event.key.encode():
        key = None if record.key is None else record.key[:200].decode(errors="replace")
        raise InvalidEventError(f"key: the message has {key!r}, the event has {event.key!r}")
    return event


async def send(app: "App", event: Event, *, partition: int | None = None) -> None:
    """Send an event to its topic and return once the broker has it on all replicas in sync.

    The partition follows from the event's key; only ticks name theirs. Raises StoreError when
    the broker did not accept it (try again), InvalidEventError when it is too large to be sent.
    """
    topic = topics.topic_of(type(event))
    key = None if isinstance(event, Tick) else event.key.encode()
    if isinstance(event, Tick) and partition is None:
        partition = event.partition
    await send_bytes(app, topic, key, events.encode(event), partition=partition)


async def enqueue(app: Any, event: Event) -> Awaitable[Any]:
    """Hand an event to the client; return what to await for the broker's acknowledgement.

    Events are sent in the order in which they were posted. Both this and what it returns raise
    as `send` does.
    """
    topic = topics.topic_of(type(event))
    value = events.encode(event)
    _check_size(topic, value)
    with _our_errors(topic):
        producer = await app.maybe_start_producer()
        sent = await producer.send(topic.full_name, event.key.encode(), value, None, None, None)

    async def taken() -> None:
        with _our_errors(topic):
            await sent

    task = asyncio.ensure_future(taken())
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be dropped
    return task


def _check_size(topic: TopicSpec, value: bytes) -> None:
    if len(value) > topic.max_message_bytes:
        raise InvalidEventError(
            f"message: {len(value)} bytes are more than the {topic.max_message_bytes} "
            f"that {topic.name} takes"
        )


@contextmanager
def _our_errors(topic: TopicSpec) -> Iterator[None]:
    """Convert the client's errors into ours."""
    try:
        yield
    except MessageSizeTooLargeError as error:
        raise InvalidEventError(f"message: too large for {topic.full_name}: {error}") from error
    except (KafkaError, ProducerSendError) as error:
        raise StoreError(
            f"Kafka did not accept a message for {topic.full_name}: {error!r}. Check the brokers."
        ) from error


async def send_bytes(
    app: Any, topic: TopicSpec, key: bytes | None, value: bytes, *, partition: int | None = None
) -> None:
    """Send bytes as they are; errors as `send`."""
    _check_size(topic, value)
    with _our_errors(topic):
        producer = await app.maybe_start_producer()
        await producer.send_and_wait(topic.full_name, key, value, partition, None, None)


def make_dead_letter(record: Record, reason: str, *, now_ms: int | None = None) -> DeadLetter:
    """Return the dead letter that keeps an unreadable message with the reason."""
    value = record.value or b""
    if len(value) > MAX_ORIGINAL_BYTES:
        reason = f"{reason} (first {MAX_ORIGINAL_BYTES} of {len(value)} bytes kept)"
    key = None if record.key is None else record.key.decode(errors="replace")[:1_000]
    return DeadLetter(
        source=record.topic,
        partition=record.partition,
        offset=record.offset,
        message_key=key,
        reason=reason[:500] or "unknown",
        at_ms=utc_ms() if now_ms is None else now_ms,
        original_base64=base64.b64encode(value[:MAX_ORIGINAL_BYTES]).decode(),
    )


async def send_dead_letter(app: "App", record: Record, reason: str) -> None:
    """Send a message to the dead-letter topic; return once the broker has it. Errors as `send`."""
    await send(app, make_dead_letter(record, reason))
    metrics.DEAD_LETTERS.labels(record.topic).inc()
