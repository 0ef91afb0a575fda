"""Sends to Kafka from a command: no Faust app, no group, each message acknowledged."""

from types import TracebackType
from typing import Any, Protocol, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from domain import events
from domain.errors import StoreError
from domain.events import Event
from streams import topics
from streams.kafka import client_options
from streams.settings import Settings


class EventSender(Protocol):
    """Sends events."""

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        """Send an event; return (partition, offset) once the brokers have it.

        Raises StoreError if Kafka did not accept it.
        """


class KafkaSender:
    """A producer that waits for all replicas in sync. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        """Connect; StoreError where no broker answers."""
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            acks="all",
            max_request_size=topics.MAX_REQUEST_BYTES,
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise StoreError(
                f"No Kafka broker answers at {self._settings.kafka_brokers}. Start it, or set "
                "VIGIL_KAFKA_BROKERS."
            ) from error
        self._producer = producer
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._producer.stop()

    async def send(self, event: Event, *, partition: int | None = None) -> tuple[int, int]:
        """Send an event to its topic; return (partition, offset) once the brokers have it."""
        topic = topics.topic_of(type(event)).name_for(self._settings)
        return await self.send_bytes(topic, event.key.encode(), events.encode(event), partition)

    async def send_bytes(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> tuple[int, int]:
        """Send bytes as they are; StoreError if Kafka did not accept them."""
        try:
            done = await self._producer.send_and_wait(topic, value, key, partition)
        except (KafkaError, OSError, ValueError, AssertionError) as error:
            raise StoreError(f"Kafka did not accept a message for {topic}: {error!r}.") from error
        return done.partition, done.offset
