"""The two doors of a bench: SQS as fast as it takes messages, Kafka for what it does not."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from domain.errors import StoreError
from domain.events import Event, encode
from harness.background_tasks import background_tasks
from stores.queue import Queue
from streams import topics
from streams.settings import Settings
from streams.storage import make_queue

SQS_SENDERS = 4
SQS_WAITING = 200
"""Messages that may wait for SQS before the next ones go to Kafka."""
SQS_BATCH = 10
KAFKA_BATCH = 500
PAUSE_S = 0.3
T = TypeVar("T")


class Entrance:
    """Takes messages at once and sends them until they are acknowledged. `await drained()` last.

    A message may arrive twice: what was sent and not acknowledged is sent again.
    """

    def __init__(self, settings: Settings, *, sqs: bool = True) -> None:
        self._settings = settings
        self._use_sqs = sqs
        self._sqs: asyncio.Queue[bytes] = asyncio.Queue()
        self._kafka: asyncio.Queue[tuple[str, bytes | None, bytes]] = asyncio.Queue()
        self.by_sqs = 0
        self.by_kafka = 0

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers,
            acks="all",
            linger_ms=5,
            max_request_size=topics.MAX_REQUEST_BYTES,
        )
        async with AsyncExitStack() as resources:
            await self._producer.start()
            resources.push_async_callback(self._producer.stop)
            queue = make_queue(self._settings, self._settings.sqs_queue_url)
            self._queue: Queue = await resources.enter_async_context(queue)
            senders = [self._to_sqs() for _ in range(SQS_SENDERS)]
            await resources.enter_async_context(background_tasks(*senders, self._to_kafka()))
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    def send(self, event: Event) -> None:
        """Send an event through the door that is free; returns at once."""
        body = encode(event)
        if self._use_sqs and self._sqs.qsize() < SQS_WAITING:
            self.send_raw(body)
        else:
            topic = topics.topic_of(type(event)).full_name
            self.send_raw(body, topic=topic, key=event.key.encode())

    def send_raw(self, body: bytes, *, topic: str | None = None, key: bytes | None = None) -> None:
        """Send bytes as they are: to a Kafka topic where one is named, else to SQS."""
        if topic is None:
            self._sqs.put_nowait(body)
        else:
            self._kafka.put_nowait((topic, key, body))

    async def drained(self) -> None:
        """Wait until all that was given is acknowledged."""
        await self._sqs.join()
        await self._kafka.join()

    async def left_in_sqs(self) -> int:
        """Return how many messages the relay has not passed on yet."""
        return await self._queue.message_count()

    async def _to_sqs(self) -> None:
        while True:
            bodies = await _some(self._sqs, SQS_BATCH)
            left: Sequence[bytes] = bodies
            while left:
                try:
                    left = [left[one.index] for one in await self._queue.send(left)]
                except StoreError:
                    await asyncio.sleep(PAUSE_S)
            self.by_sqs += len(bodies)
            for _ in bodies:
                self._sqs.task_done()

    async def _to_kafka(self) -> None:
        while True:
            messages = await _some(self._kafka, KAFKA_BATCH)
            left = messages
            while left:
                done = await asyncio.gather(*map(self._produce, left), return_exceptions=True)
                failed = [error for error in done if isinstance(error, BaseException)]
                if any(not isinstance(error, KafkaError) for error in failed):
                    raise failed[0]
                left = [
                    message for message, error in zip(left, done, strict=True) if error is not None
                ]
                if left:
                    await asyncio.sleep(PAUSE_S)
            self.by_kafka += len(messages)
            for _ in messages:
                self._kafka.task_done()

    async def _produce(self, message: tuple[str, bytes | None, bytes]) -> None:
        topic, key, body = message
        await self._producer.send_and_wait(topic, body, key=key)


async def _some(queue: "asyncio.Queue[T]", most: int) -> list[T]:
    """Return what waits, at least one and at most `most`."""
    items = [await queue.get()]
    while len(items) < most and not queue.empty():
        items.append(queue.get_nowait())
    return items
