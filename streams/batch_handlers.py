"""Many events of a partition for one call of a handler: for stages that write to a database.

batch       0 1 2 3 4 5 6 7 8      as it was fetched

decoded     0 1 2 ✗ 4 5 6 7 8      what cannot be read goes to the dead-letter topic by itself

handed      [0 1 2 4] [5 6 7 8]    at most so many at a time, the next when these are durable

rejected          [5 6] [7 8]      halves, until the one at fault is alone
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.errors import InvalidEventError
from domain.events import AnyEvent
from streams import codec, logs, metrics
from streams.codec import Record
from streams.handlers import (
    count_handled,
    dead_letter,
    exit_after_failure,
    partition_revoked,
    record_of,
    reroute_misplaced,
    subscribe,
)
from streams.reroute import own_partition
from streams.retry import Interrupted
from streams.topics import TopicSpec

if TYPE_CHECKING:
    from streams.app import App


class Arrival(NamedTuple):
    """An event and where it came from."""

    event: AnyEvent
    record: Record


BatchHandler = Callable[[Sequence[Arrival]], Awaitable[None]]
Check = Callable[[AnyEvent, Record], None]


def handles_batch(
    app: "App",
    topic: TopicSpec,
    *,
    most: int,
    check: Check | None = None,
    dead_lettered_by: str | None = None,
    reroute: bool = False,
    name: str | None = None,
) -> Callable[[BatchHandler], BatchHandler]:
    """Make a coroutine function the handler of up to `most` events of one partition at a time.

    It is called with arrivals in their order and returns when the work of all is durable; the next
    ones of that partition wait for it, other partitions do not. What it may raise is the same as
    for `handles`; where it refuses several with InvalidEventError, they are offered again in
    halves, down to the one at fault: it must be safe to call again with what it has done.
    `check` raises InvalidEventError for a single event that must not come to it at all.
    `dead_lettered_by`: another worker that reads the topic too. It sends what cannot be read, or
    does not pass `check`, to the dead-letter topic. Here such a message is skipped, so that there
    is one dead letter.
    `reroute`: as for `handles`.
    """

    def decorate(handler: BatchHandler) -> BatchHandler:
        work = BatchProcessor(app, topic, handler, most, check, dead_lettered_by, reroute)
        subscribe(app, topic, work.process, handler, name=name, isolated=True)
        return handler

    return decorate


@dataclass(frozen=True, slots=True)
class BatchProcessor:
    """One topic's batches, processed by one handler."""

    app: "App"
    topic: TopicSpec
    handler: BatchHandler
    most: int
    check: Check | None = None
    dead_lettered_by: str | None = None
    reroute: bool = False

    async def process(self, batch: Any) -> None:
        """Process a batch; what is not acknowledged on return is delivered again."""
        consumer = self.app.consumer
        given_back = metrics.events(self.topic.name, "given-back")
        records = consumer.begin(batch)
        try:
            for begin in range(0, len(records), self.most):
                if partition_revoked(self.app, batch):
                    given_back.inc(len(records) - begin)
                    return
                some = [record_of(got) for got in records[begin : begin + self.most]]
                done = await self._handle(some)
                consumer.processed(batch, done)
                given_back.inc(len(some) - len(done))
                await asyncio.sleep(0)
        finally:
            consumer.end(batch)

    async def _handle(self, records: Sequence[Record]) -> list[int]:
        """Handle records; return the offsets of those that are not given back."""
        done: list[int] = []
        try:
            if self.reroute:
                done += await reroute_misplaced(self.app, self.topic, records)
                partitions = self.app.settings.partitions
                records = [each for each in records if own_partition(each, partitions) is None]
            arrivals = []
            for record in records:
                try:
                    event = codec.decode(record, self.topic)
                    if self.check is not None:
                        self.check(event, record)
                except InvalidEventError as error:
                    if self.dead_lettered_by is None:
                        await self._refuse(record, error, done)
                    else:
                        count_handled(self.topic, "passed-over", record, None)
                        done.append(record.offset)
                else:
                    arrivals.append(Arrival(event, record))
            await self._offer(arrivals, done)
        except Interrupted:
            pass
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await exit_after_failure(
                self.app, f"{records[0]} and the {len(records) - 1} after it", error
            )
            raise
        return done

    async def _offer(self, arrivals: Sequence[Arrival], done: list[int]) -> None:
        """Call the handler with arrivals; if it rejects them together, with each half."""
        if not arrivals:
            return
        try:
            with logs.LogContext(
                arrivals[0].record, arrivals[0].event if len(arrivals) == 1 else None
            ):
                await self.handler(arrivals)
        except InvalidEventError as error:
            if len(arrivals) == 1:
                await self._refuse(arrivals[0].record, error, done)
                return
            half = len(arrivals) // 2
            await self._offer(arrivals[:half], done)
            await self._offer(arrivals[half:], done)
            return
        for event, record in arrivals:
            count_handled(self.topic, "done", record, event)
            done.append(record.offset)

    async def _refuse(self, record: Record, error: InvalidEventError, done: list[int]) -> None:
        with logs.LogContext(record):
            await dead_letter(self.app, record, str(error))
        count_handled(self.topic, "dead-letter", record, None)
        done.append(record.offset)
