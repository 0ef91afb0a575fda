"""From a topic's messages to calls of a handler, without losing one.

Faust acknowledges an event when the loop body ends, whichever way it ends. So here the body
ends only when the work is done, when the message stands in the dead-letter topic, or when the
message was given back. Any other failure ends the process.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from domain.errors import InvalidEventError
from domain.events import AnyEvent
from streams import codec, logs, metrics
from streams.codec import Record
from streams.ending import end_process
from streams.retry import Interrupted
from streams.topics import TopicSpec

if TYPE_CHECKING:
    from streams.app import App

Handler = Callable[[AnyEvent, Record], Awaitable[None]]
LAST_COMMIT_S = 5.0

log = logging.getLogger(__name__)


def handles(
    app: "App", topic: TopicSpec, *, isolated: bool = False, name: str | None = None
) -> Callable[[Handler], Handler]:
    """Make a coroutine function the handler of a topic's events, one at a time, in order.

    It is called with (event, record) and returns when its work is durable. It may raise
    InvalidEventError (the message becomes a dead letter) and let Interrupted of `app.insist`
    pass (the message comes again); whatever else it raises ends the process.
    `isolated`: the partitions of a worker are worked on beside each other, for slow work.
    """

    def decorate(handler: Handler) -> Handler:
        async def agent(stream: Any) -> None:
            async for faust_event in stream.events():
                await _handle(app, topic, handler, faust_event.message)

        agent.__name__ = name or handler.__name__
        agent.__doc__ = handler.__doc__
        agent.__module__ = handler.__module__
        app.agent(
            app.faust_topic(topic),
            name=name or handler.__name__,
            isolated_partitions=isolated,
            concurrency=1,
        )(agent)
        return handler

    return decorate


async def _handle(app: "App", topic: TopicSpec, handler: Handler, message: Any) -> None:
    record = Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        round((message.timestamp or 0) * 1000),
    )
    with logs.About(record) as subject:
        await _handle_record(app, topic, handler, message, subject)


async def _handle_record(
    app: "App", topic: TopicSpec, handler: Handler, message: Any, subject: logs.About[Record]
) -> None:
    record = subject.record
    event: AnyEvent | None = None
    try:
        try:
            event = subject.event = codec.decode(record, topic)
            await handler(event, record)
            outcome = "done"
        except InvalidEventError as error:
            await put_aside(app, record, str(error))
            outcome = "dead-letter"
    except (Interrupted, asyncio.CancelledError) as reason:
        app.give_back(message)
        metrics.EVENTS.labels(topic.name, "given-back").inc()
        if isinstance(reason, asyncio.CancelledError):
            raise
    except BaseException as error:
        app.give_back(message)
        await _end(app, record, event, error)
        raise
    else:
        metrics.EVENTS.labels(topic.name, outcome).inc()
        metrics.PROGRESS.handled(record.topic, record.partition, record.timestamp_ms, event)


async def put_aside(app: "App", record: Record, reason: str) -> None:
    """Send a dead letter, for as long as it takes."""
    log.warning("goes to the dead letters: %s", reason)
    await app.insist(lambda: codec.send_dead_letter(app, record, reason), what="dead-letter")


async def _end(app: "App", record: Record, event: AnyEvent | None, error: BaseException) -> None:
    log.error("the event's handler failed", exc_info=error)
    try:  # what was done before this message need not be done twice
        async with asyncio.timeout(LAST_COMMIT_S):
            await app.consumer.commit()
    except Exception:
        log.warning("The last commit failed", exc_info=True)
    end_process(f"{record} ({describe(event)}) failed with {error!r}.")


def describe(event: AnyEvent | None) -> str:
    """Return what an event is about, for the log: type, camera, run, place."""
    if event is None:
        return "unread"
    words: list[str] = [event.type]
    for name in ("camera", "run", "seq", "window_start_ms"):
        value = getattr(event, name, None)
        if value is not None:
            words.append(f"{name} {value}")
    return ", ".join(words)
