"""The relay: from the sites' queue (SQS) to Kafka. Plain asyncio: `vigil relay run`.

    receive up to 10 -> parse and check each -> send to Kafka -> acknowledged -> delete from SQS

A message is deleted only after Kafka's brokers (acks=all) or the dead-letter queue have it.
If the relay is killed at any point, the message stays in SQS and is delivered again.

The producer is not idempotent. aiokafka gives a batch its sequence numbers before the broker
refuses it. Then the partition answers OutOfOrderSequenceNumber until the producer is replaced. An
event may arrive twice anyway.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError
from prometheus_client import Counter, Histogram

from agents.relay.queue_depth import measure_until
from agents.signatures.checker import SignatureChecker
from domain.device_identity import MAX_SIGNATURE_CHARS, SIGNATURE
from domain.errors import InvalidEventError, RefusedError, StoreError
from domain.events import AnyEvent, FragmentArrived, Heartbeat, SiteEvent, parse
from domain.plausible import check_event, event_time_ms
from stores.message_batch import MAX_BATCH_BYTES
from stores.queue import Queue, QueueMessage, fit_message
from streams import topics, tracing
from streams.kafka import check_admission, client_options
from streams.metrics import REGISTRY
from streams.retry import RetryDelays
from streams.settings import Settings
from streams.storage import make_queue

log = logging.getLogger(__name__)
SECONDS = Histogram(
    "vigil_relay_age_seconds",
    "From the time of an event until Kafka acknowledged it",
    buckets=(1, 2, 5, 10, 30, 60, 300, 900, 3_600, 6 * 3_600, 86_400, 3 * 86_400),
    registry=REGISTRY,
)
RELAYED = Counter("vigil_relayed", "Messages forwarded to Kafka, by event type", ("type",),
                  registry=REGISTRY)  # fmt: skip
POISON = Counter("vigil_relay_poison", "Messages sent to the dead-letter queue",
                 registry=REGISTRY)  # fmt: skip

RECEIVERS = 4
METADATA_MAX_AGE_MS = 15_000
"""Partitions that were added are used after this time (streams/reroute.py)."""
VISIBILITY_TIMEOUT_S = 30
"""Messages of a relay that was killed become visible in SQS again after this time.

So do messages that Kafka refuses for a reason of their topic, such as a missing ACL.
"""
KNOWN_FOR_S = 60.0
"""How long a camera that is not registered any more may still send."""
DEAD_LETTER_BYTES = (MAX_BATCH_BYTES, MAX_BATCH_BYTES // 2, 16 << 10, 1 << 10)
"""A dead letter is cut to these sizes in turn until the dead-letter queue accepts it."""


class KnownCameras:
    """The registered cameras, read again from the catalog when one is not found.

    And every minute: the cameras of a tenant that was erased are not registered any more.
    Callers that miss a camera at the same time share one query.
    """

    def __init__(self, load: Callable[[], Awaitable[set[str]]]) -> None:
        self._load = load
        self._cameras: set[str] = set()
        self._reading: asyncio.Task[set[str]] | None = None
        self._read_s = 0.0

    async def has(self, camera: str) -> bool:
        """Return whether a camera is registered. Raises StoreError if the catalog fails."""
        return camera in self._fresh() or camera in await self._read()

    async def has_site(self, site: str) -> bool:
        """Return whether any camera of a site is registered. Raises StoreError as `has` does."""
        prefix = site + "/"
        if any(camera.startswith(prefix) for camera in self._fresh()):
            return True
        return any(camera.startswith(prefix) for camera in await self._read())

    async def _read(self) -> set[str]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._load())
        self._cameras = await asyncio.shield(self._reading)
        self._read_s = time.monotonic()
        return self._cameras

    def _fresh(self) -> set[str]:
        """Return the cameras that were read within a minute."""
        return self._cameras if time.monotonic() - self._read_s < KNOWN_FOR_S else set()


class Relay:
    """Forwards messages from one queue to Kafka until it is stopped."""

    def __init__(
        self,
        settings: Settings,
        cameras: KnownCameras,
        signatures: SignatureChecker,
        clock_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._signatures = signatures
        self._cameras = cameras
        self._clock_ms = clock_ms
        self._stack = AsyncExitStack()
        self.ready = False
        """Readiness: whether Kafka is connected and the newest attempt succeeded."""
        self._queue: Queue
        self._dead_letter_queue: Queue
        self._producer: AIOKafkaProducer

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set. Graceful shutdown: messages in flight are finished first."""
        async with self._stack:
            enter = self._stack.enter_async_context
            self._queue = await enter(make_queue(self._settings, self._settings.sqs_queue_url))
            self._dead_letter_queue = await enter(
                make_queue(self._settings, self._settings.sqs_dead_letter_url)
            )
            self._producer = AIOKafkaProducer(
                **client_options(self._settings),
                acks="all",
                linger_ms=5,
                max_request_size=topics.MAX_REQUEST_BYTES,
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
            )
            await self._start_producer(stop)
            self._stack.push_async_callback(self._producer.stop)
            if not stop.is_set():
                log.info("relaying", extra={"queue": self._settings.sqs_queue_url})
                queues = {"events": self._queue, "dead-letter": self._dead_letter_queue}
                await asyncio.gather(
                    *(self._receive(stop) for _ in range(RECEIVERS)), measure_until(stop, queues)
                )

    async def _start_producer(self, stop: asyncio.Event) -> None:
        backoff = RetryDelays()
        while not stop.is_set():
            try:
                await check_admission(self._settings)
                await self._producer.start()
                return
            except KafkaError as error:
                await self._pause("reaching Kafka", error, backoff, stop)

    async def _receive(self, stop: asyncio.Event) -> None:
        backoff = RetryDelays()
        while not stop.is_set():
            try:
                messages = await self._queue.receive(
                    wait_s=2, visibility_timeout_s=VISIBILITY_TIMEOUT_S
                )
                receipts = await self._forward_batch(messages)
                await self._queue.delete(receipts)
                backoff = RetryDelays()
                self.ready = len(receipts) == len(messages)
            except (StoreError, KafkaError) as error:
                self.ready = False
                await self._pause("relaying", error, backoff, stop)

    async def _pause(
        self, what: str, error: Exception, backoff: RetryDelays, stop: asyncio.Event
    ) -> None:
        pause_s = backoff.next_s()
        log.warning("%s failed, next try in %.1f s: %s", what, pause_s, error)
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            return

    async def _forward_batch(self, messages: list[QueueMessage]) -> list[str]:
        """Forward messages; return the receipts of those that are safely stored elsewhere.

        A message that Kafka refuses stays invisible in SQS until its timeout, and the others
        continue. Raises StoreError or KafkaError where Kafka, SQS or the catalog fails.
        """
        results = await asyncio.gather(*map(self._forward, messages), return_exceptions=True)
        receipts = []
        failed = []
        failures = []
        for message, error in zip(messages, results, strict=True):
            if error is None:
                receipts.append(message.receipt)
            elif isinstance(error, BrokerResponseError) and not error.retriable:
                log.warning(
                    "Kafka refuses a message, next try in %d s: %r. Check the topic's settings "
                    "(vigil topics ensure) and its ACLs.", VISIBILITY_TIMEOUT_S, error
                )  # fmt: skip
            else:
                failed.append(message.receipt)
                failures.append(error)
        if failures:
            await self._queue.make_visible(failed)
            await self._queue.delete(receipts)
            raise failures[0]
        return receipts

    async def _forward(self, message: QueueMessage) -> None:
        received_ms = self._clock_ms()
        try:
            event = await self._parse_and_check(message)
        except InvalidEventError as error:
            await self._dead_letter(message, str(error))
            return
        topic = topics.topic_of(type(event))
        if len(message.body) > topic.max_message_bytes:
            reason = f"message: {len(message.body)} bytes, {topic.name} takes fewer"
            await self._dead_letter(message, reason)
            return
        await self._producer.send_and_wait(
            topic.full_name,
            value=message.body,
            key=event.key.encode(),
            headers=[] if message.signature is None else [(SIGNATURE, message.signature.encode())],
        )
        RELAYED.labels(event.type).inc()
        SECONDS.observe(max(0, self._clock_ms() - (event_time_ms(event) or 0)) / 1_000)
        if tracing.tracer is not None and isinstance(event, FragmentArrived):
            name = event.run, event.seq
            tracing.tracer.add("fragment", *name, event.end_ms, root=True, camera=event.camera)
            tracing.tracer.add("relay", *name, received_ms, received=message.receive_count)

    async def _parse_and_check(self, message: QueueMessage) -> SiteEvent:
        """Return the event in a message. Raises InvalidEventError if it must not be forwarded."""
        event: AnyEvent = parse(message.body)
        if not isinstance(event, SiteEvent):
            raise InvalidEventError(f"type: sites may not send {event.type}")
        check_event(event, self._clock_ms())
        if isinstance(event, Heartbeat):
            if not await self._cameras.has_site(event.site):
                raise InvalidEventError(f"site: {event.site} has no registered camera")
        elif not await self._cameras.has(event.camera):
            raise InvalidEventError(
                f"camera: {event.camera} is not registered (vigil camera add {event.camera})"
            )
        await self._signatures.check(event, message.body, message.signature)
        return event

    async def _dead_letter(self, message: QueueMessage, reason: str) -> None:
        signature = message.signature  # it goes with a message that is sent again
        if signature is not None and len(signature) > MAX_SIGNATURE_CHARS:
            signature = None
        for most in DEAD_LETTER_BYTES:
            body, short = fit_message(message.body, reason, most, signature)
            try:
                if not await self._dead_letter_queue.send([body], [signature], reason=short):
                    break
            except RefusedError as error:
                log.info("the dead-letter queue refuses %d bytes: %s", len(body), error)
        else:
            raise StoreError("the dead-letter queue rejected a message; it stays in the queue.")
        POISON.inc()
        shown = message.body[:200].decode(errors="replace")
        log.warning(
            "poison message sent to the dead-letter queue: %s", reason, extra={"body": shown}
        )
