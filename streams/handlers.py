"""From a topic's messages to calls of a handler, without losing one.

Records come in batches of one partition (streams/delivery/record_batch.py). Each is acknowledged by
itself, when its work is done or when it is in the dead-letter topic. One that is given back comes
again. Any other failure ends the process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from domain.errors import InvalidEventError
from domain.events import AnyEvent
from streams import codec, logs, metrics, table_disk
from streams.codec import Record
from streams.process_exit import exit_process
from streams.reroute import own_partition, send_on
from streams.retry import Interrupted
from streams.topics import TopicSpec

if TYPE_CHECKING:
    from streams.app import App

Handler = Callable[[AnyEvent, Record], Awaitable[None]]
LAST_COMMIT_S = 5.0
REROUTED_TOGETHER = 100
"""Events that are sent on at the same time; a rebalance sends no more of them twice."""
YIELD_EVERY = 16
"""Events that are processed without a wait; then other tasks of the event loop run."""

log = logging.getLogger(__name__)


def handles(
    app: "App",
    topic: TopicSpec,
    *,
    isolated: bool = False,
    reroute: bool = False,
    name: str | None = None,
) -> Callable[[Handler], Handler]:
    """Make a coroutine function the handler of a topic's events, one at a time, in order.

    It is called with (event, record) and returns when its work is durable. It may raise
    InvalidEventError (the message becomes a dead letter) and let Interrupted of `app.retry`
    pass (the message comes again); whatever else it raises ends the process.
    `isolated`: the partitions of a worker are worked on in parallel, for slow work.
    `reroute`: an event in another partition than its key's is sent there (streams/reroute.py).
    """

    def decorate(handler: Handler) -> Handler:
        async def process(batch: Any) -> None:
            await _one_by_one(app, topic, handler, batch, reroute=reroute)

        subscribe(app, topic, process, handler, name=name, isolated=isolated)
        return handler

    return decorate


def subscribe(
    app: "App",
    topic: TopicSpec,
    process: Callable[[Any], Awaitable[None]],
    handler: Callable[..., Any],
    *,
    name: str | None,
    isolated: bool,
) -> None:
    """Process a topic's batches by an agent with the name of its handler."""
    if topic.full_name in app.batched_topics:
        raise ValueError(
            f"{topic.full_name} already has a handler: only one can process its batches"
        )
    app.batched_topics.add(topic.full_name)

    async def agent(stream: Any) -> None:
        async for faust_event in stream.events():
            await process(faust_event.message)

    agent.__name__ = name = name or handler.__name__
    agent.__doc__ = handler.__doc__
    agent.__module__ = handler.__module__
    app.agent(app.faust_topic(topic), name=name, isolated_partitions=isolated, concurrency=1)(agent)


def record_of(got: Any) -> Record:
    """Return a record of the client as handlers see it."""
    return Record(got.topic, got.partition, got.offset, got.key, got.value, got.timestamp or 0)


def partition_revoked(app: "App", batch: Any) -> bool:
    """Return whether what is left of a batch is to be given back: its partition goes."""
    return bool(batch.acked or app.consumer.interrupted.is_set())


async def _one_by_one(
    app: "App", topic: TopicSpec, handler: Handler, batch: Any, *, reroute: bool = False
) -> None:
    consumer = app.consumer
    given_back = metrics.events(topic.name, "given-back")
    records = consumer.begin(batch)
    try:
        if reroute:
            records = await _without_misplaced(app, topic, batch, records)
        for at, got in enumerate(records, start=1):
            if partition_revoked(app, batch):
                given_back.inc(len(records) - at + 1)
                return
            if await _handle(app, topic, handler, record_of(got)):
                consumer.processed(batch, (got.offset,))
            else:
                given_back.inc()
            if at % YIELD_EVERY == 0:
                await asyncio.sleep(0)
    finally:
        consumer.end(batch)


async def _without_misplaced(
    app: "App", topic: TopicSpec, batch: Any, records: list[Any]
) -> list[Any]:
    """Send events of other partitions there; return the rest. Nothing where they are revoked."""
    for begin in range(0, len(records), REROUTED_TOGETHER):
        some = [record_of(got) for got in records[begin : begin + REROUTED_TOGETHER]]
        if partition_revoked(app, batch):
            return []
        app.consumer.processed(batch, await reroute_misplaced(app, topic, some))
    partitions = app.settings.partitions
    return [got for got in records if own_partition(record_of(got), partitions) is None]


async def reroute_misplaced(app: "App", topic: TopicSpec, records: Sequence[Record]) -> set[int]:
    """Send events of other partitions there; return the offsets of those that were sent."""
    partitions = app.settings.partitions
    misplaced = [each for each in records if own_partition(each, partitions) is not None]
    done = await send_on(app, topic, misplaced)
    for record in misplaced:
        if record.offset in done:
            count_handled(topic, "rerouted", record, None)
    return done


async def _handle(app: "App", topic: TopicSpec, handler: Handler, record: Record) -> bool:
    """Handle one record; False where it is given back."""
    with logs.LogContext(record) as subject:
        event: AnyEvent | None = None
        outcome = "done"
        try:
            try:
                event = subject.event = codec.decode(record, topic)
                await handler(event, record)
            except InvalidEventError as error:
                outcome = "dead-letter"
                await dead_letter(app, record, str(error))
        except Interrupted:
            return False
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await exit_after_failure(app, f"{record} ({event_summary(event)})", error)
            raise
        count_handled(topic, outcome, record, event)
        return True


# -- the ends of an event


def count_handled(topic: TopicSpec, outcome: str, record: Record, event: AnyEvent | None) -> None:
    """Count a finished event, with its outcome."""
    metrics.events(topic.name, outcome).inc()
    metrics.LAGS.handled(record.topic, record.partition, record.timestamp_ms, event)


async def dead_letter(app: "App", record: Record, reason: str) -> None:
    """Send a dead letter, for as long as it takes."""
    log.warning("sent to the dead-letter topic: %s", reason)
    await app.retry(lambda: codec.send_dead_letter(app, record, reason), what="dead-letter")


async def exit_after_failure(app: "App", what: str, error: BaseException) -> None:
    """End the process because of a failed handler, after a last commit."""
    if table_disk.is_disk_error(error):
        exit_process(table_disk.disk_error_text(error, app.conf.datadir))
    log.error("the event's handler failed", exc_info=error)
    try:  # what was done before this message need not be done twice
        async with asyncio.timeout(LAST_COMMIT_S):
            await app.consumer.commit()
    except Exception:
        log.warning("The last commit failed", exc_info=True)
    exit_process(f"{what} failed with {error!r}.")


def event_summary(event: AnyEvent | None) -> str:
    """Return what an event is about, for the log: type, camera, run, place."""
    if event is None:
        return "unread"
    words: list[str] = [event.type]
    for name in ("camera", "run", "seq", "window_start_ms"):
        value = getattr(event, name, None)
        if value is not None:
            words.append(f"{name} {value}")
    return ", ".join(words)
