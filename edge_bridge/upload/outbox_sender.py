"""What goes to the queue: heartbeats, messages, notices, ends of runs; one task sends it all.

A run's end goes last: when all its fragments are noticed (or given up) its end.json is PUT, and
only when that stands is its notice sent.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pydantic import ValidationError

from domain.errors import CredentialsError, ObjectExistsError, RefusedError, StoreError
from domain.events import RunEnded
from domain.events.registry import encode
from domain.identity import FragmentId, run_end_key
from edge_bridge import metrics
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.rows import OutboxMessage
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.batch import ROOM, QueueBatch, QueueItem
from edge_bridge.upload.link import Link
from edge_bridge.upload.rejected import RejectedMessages, Suspect
from edge_bridge.upload.wakeup import Wakeup
from stores.objects import ObjectStore
from stores.queue import MAX_BATCH, Queue

log = logging.getLogger(__name__)

_NOTICES_FIRST = MAX_BATCH // 2
"""Places of a batch that messages leave to notices."""
_END_S = 120.0
"""How long the writing of a run's end may take: a few kilobytes, on the thinnest line too."""


class OutboxSender:
    """Sends in batches until cancelled."""

    def __init__(
        self,
        owner: SpoolThread,
        store: ObjectStore,
        queue: Queue,
        *,
        to_s3: Link,
        to_sqs: Link,
        work: Wakeup,
        spend: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`work` wakes this: a fragment was put, a message kept, a run ended; `spend` is told of
        bytes sent.
        """
        self._spend = spend
        self._owner, self._store, self._queue = owner, store, queue
        self._to_s3, self._to_sqs = to_s3, to_sqs
        self._work = work
        self._heartbeat: bytes | None = None
        self._refused = RejectedMessages()

    def heartbeat(self, body: bytes) -> None:
        """Have a heartbeat sent; only the newest is kept."""
        self._heartbeat = body
        self._work.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(), name="send")
            group.create_task(self._write_ends(), name="write-ends")

    async def _send(self) -> None:
        while True:
            await self._to_sqs.ready()
            heard = self._work.heard()
            if self._refused.suspects:
                await self._deliver_alone(self._refused.suspects.popleft())
                continue
            try:
                batch = await self._gather()
            except DiskError:  # what waits waits on; that the edge lives is said all the same
                batch = QueueBatch()
                self._add_heartbeat(batch)
            if batch.bodies:
                await self._deliver(batch)
            elif self._refused.aside:
                self._refused.aside.clear()  # nothing else is there to try the queue with
            else:
                await heard

    async def _gather(self) -> QueueBatch:
        batch = QueueBatch(most=MAX_BATCH - 1 if self._heartbeat is not None else MAX_BATCH)
        spool, aside = self._owner.spool, self._refused.aside
        notices = await self._owner.call(spool.unnoticed, MAX_BATCH + len(aside))
        notices = [row for row in notices if row.id not in aside]
        messages = await self._owner.call(spool.messages, MAX_BATCH + len(aside))
        kept_free = min(len(notices), _NOTICES_FIRST)
        for message in messages:
            if message in aside:
                continue
            if (fault := _unsendable(message.body)) is not None:
                await self._give_up(message, fault)
            elif len(batch.bodies) >= MAX_BATCH - kept_free or not batch.add(message.body, message):
                break
        for row in notices:
            if not batch.add(row.event.encode(), row.id):
                break
        for run, body in await self._owner.call(spool.ends_to_notice):
            if run not in aside and not batch.add(body, run):
                break
        # Last, so that none newer comes while the rest is gathered. A place was kept for it.
        batch.most = MAX_BATCH
        self._add_heartbeat(batch)
        return batch

    def _add_heartbeat(self, batch: QueueBatch) -> None:
        if self._heartbeat is not None and batch.add(self._heartbeat, None):
            batch.heartbeat, self._heartbeat = self._heartbeat, None

    async def _deliver(self, batch: QueueBatch) -> None:
        try:
            refusals = await self._queue.send(batch.bodies)
        except RefusedError as error:
            self._to_sqs.failed(error)
            self._refused.batch(batch.bodies, batch.settles)
            return
        except StoreError as error:
            if self._heartbeat is None:
                self._heartbeat = batch.heartbeat
            await self._failed(error)
            return
        self._spend(sum(map(len, batch.bodies)))
        refused = {one.index for one in refusals}
        taken = [what for at, what in enumerate(batch.settles) if at not in refused]
        for one in refusals:
            if one.sender_fault:
                self._refused.one(batch.bodies[one.index], batch.settles[one.index], again=False)
        if taken:
            self._to_sqs.succeeded()
            self._refused.taken()
        if refusals:
            said = f"the queue refused {len(refusals)} messages ({refusals[0].reason})."
            self._to_sqs.failed(StoreError(said))
        if any(what is not None for what in taken):
            await self._settle(taken)
        self._work.set()  # a run may have become ready to end

    async def _deliver_alone(self, suspect: Suspect) -> None:
        try:
            refusals = await self._queue.send([suspect.body])
            if any(not one.sender_fault for one in refusals):
                raise StoreError(f"the queue refused a message ({refusals[0].reason}).")
            if refusals:
                raise RefusedError(f"the queue refused a message ({refusals[0].reason}).")
        except RefusedError as error:
            if self._refused.one(suspect.body, suspect.what, suspect.again):
                await self._give_up(suspect.what, str(error))
            else:
                self._to_sqs.failed(error)
            return
        except StoreError as error:
            self._refused.suspects.appendleft(suspect)
            await self._failed(error)
            return
        self._spend(len(suspect.body))
        self._to_sqs.succeeded()
        self._refused.taken()
        if suspect.what is not None:
            await self._settle([suspect.what])
        self._work.set()

    async def _failed(self, error: StoreError) -> None:
        self._to_sqs.failed(error)
        if isinstance(error, CredentialsError):
            await self._queue.reload_credentials()

    async def _give_up(self, what: QueueItem, why: str) -> None:
        """Let go of what the queue never takes. Of notices and ends all stands in S3."""
        metrics.MESSAGES_DROPPED.inc()
        named = what.type if isinstance(what, OutboxMessage) else what
        log.error("a message is given up (%s): %s", named, why)
        await self._settle([what])

    async def _settle(self, taken: list[QueueItem]) -> None:
        await self._owner.call(
            self._owner.spool.sent,
            [what for what in taken if isinstance(what, FragmentId)],
            [what for what in taken if isinstance(what, OutboxMessage)],
            [what for what in taken if isinstance(what, str)],
        )

    async def _write_ends(self) -> None:
        while True:
            await self._to_s3.ready()
            heard = self._work.heard()
            try:
                written = await self._write_some_ends()
            except DiskError:  # heartbeats go on; what waits is asked for again
                written = False
            if not written:
                await heard

    async def _write_some_ends(self) -> bool:
        """Return whether there were any, be they written or not."""
        ends = await self._owner.call(self._owner.spool.ends_to_write, 20)
        random.shuffle(ends)  # one that fails for its own sake does not stop the others
        for run, event in ends:
            if not await self._write_end(run.run, event):
                break
        return bool(ends)

    async def _write_end(self, run: str, event: RunEnded) -> bool:
        key, body = run_end_key(event.camera, event.run), encode(event)
        sha256 = hashlib.sha256(body).hexdigest()
        stands: RunEnded | None = None
        try:
            async with _in_time():
                await self._store.put_once(
                    key,
                    body,
                    sha256=sha256,
                    metadata={},
                    content_type="application/json",
                )
        except ObjectExistsError:
            # Only where the journal was lost: what was said first counts.
            try:
                stands = await self._standing(key)
            except StoreError as error:
                self._to_s3.failed(error)
                return False
            log.warning("the run's end stands already", extra={"camera": event.camera, "run": run})
        except StoreError as error:
            self._to_s3.failed(error)
            if isinstance(error, CredentialsError):
                await self._store.reload_credentials()
            return False
        self._to_s3.succeeded()
        await self._owner.call(self._owner.spool.end_written, run, stands)
        self._work.set()
        return True

    async def _standing(self, key: str) -> RunEnded | None:
        try:
            async with _in_time():
                return RunEnded.model_validate_json(await self._store.get(key))
        except ValidationError:
            return None


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_END_S):
            yield
    except TimeoutError:
        raise StoreError(f"no answer from the object store in {_END_S:.0f} s.") from None


def _unsendable(body: bytes) -> str | None:
    if len(body) > ROOM:
        return f"it is too large, {len(body)} bytes"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "it is damaged"
    return None
