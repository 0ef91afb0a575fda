"""What goes to the queue: heartbeats, messages, notices, ends of runs; one task sends it all.

A run's end goes last: when all its fragments are noticed (or given up) its end.json is PUT, and
only when that stands is its notice sent.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import ValidationError

from domain.errors import CredentialsError, ObjectExistsError, StoreError
from domain.events import RunEnded
from domain.events.registry import encode
from domain.identity import FragmentId, run_end_key
from edge_bridge import metrics
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.owner import SpoolOwner
from edge_bridge.spool.rows import MessageRow
from edge_bridge.upload.link import Link
from edge_bridge.upload.signal import Signal
from stores.objects import ObjectStore
from stores.queue import MAX_BATCH, MAX_BATCH_BYTES, Queue

log = logging.getLogger(__name__)

_ROOM = MAX_BATCH_BYTES - 4_096
"""Bytes of a batch; the rest is for what SQS counts besides the bodies."""
_NOTICES_FIRST = MAX_BATCH // 2
"""Places of a batch that messages leave to notices."""


@dataclass(slots=True)
class _Batch:
    """Bodies in order, and what each of them settles."""

    bodies: list[bytes] = field(default_factory=list)
    settles: list[MessageRow | FragmentId | str | None] = field(default_factory=list)
    size: int = 0
    most: int = MAX_BATCH
    heartbeat: bytes | None = None

    def add(self, body: bytes, settles: MessageRow | FragmentId | str | None) -> bool:
        """Add a body; False: it does not fit any more."""
        if len(self.bodies) >= self.most or (self.bodies and self.size + len(body) > _ROOM):
            return False
        self.bodies.append(body)
        self.settles.append(settles)
        self.size += len(body)
        return True


class Sender:
    """Sends in batches until cancelled."""

    def __init__(
        self,
        owner: SpoolOwner,
        store: ObjectStore,
        queue: Queue,
        *,
        to_s3: Link,
        to_sqs: Link,
        work: Signal,
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
            try:
                batch = await self._gather()
            except DiskError:  # what waits waits on; that the edge lives is said all the same
                batch = _Batch()
                self._add_heartbeat(batch)
            if batch.bodies:
                await self._deliver(batch)
            else:
                await heard

    async def _gather(self) -> _Batch:
        batch = _Batch(most=MAX_BATCH - 1 if self._heartbeat is not None else MAX_BATCH)
        spool = self._owner.spool
        notices = await self._owner.call(spool.unnoticed, MAX_BATCH)
        messages = await self._owner.call(spool.messages, MAX_BATCH)
        kept_free = min(len(notices), _NOTICES_FIRST)
        for message in messages:
            if len(message.body) > _ROOM:
                log.error("a %s of %d bytes is too large", message.type, len(message.body))
                metrics.MESSAGES_DROPPED.inc()
                await self._owner.call(spool.sent, [], [message], [])
            elif len(batch.bodies) >= MAX_BATCH - kept_free or not batch.add(message.body, message):
                break
        for row in notices:
            if not batch.add(row.event.encode(), row.id):
                break
        for run, body in await self._owner.call(spool.ends_to_notice):
            if not batch.add(body, run):
                break
        # Last, so that none newer comes while the rest is gathered. A place was kept for it.
        batch.most = MAX_BATCH
        self._add_heartbeat(batch)
        return batch

    def _add_heartbeat(self, batch: _Batch) -> None:
        if self._heartbeat is not None and batch.add(self._heartbeat, None):
            batch.heartbeat, self._heartbeat = self._heartbeat, None

    async def _deliver(self, batch: _Batch) -> None:
        try:
            refused = set(await self._queue.send(batch.bodies))
        except StoreError as error:
            self._to_sqs.failed(error)
            if self._heartbeat is None:
                self._heartbeat = batch.heartbeat
            if isinstance(error, CredentialsError):
                await self._queue.renew()
            return
        self._spend(sum(map(len, batch.bodies)))
        taken = [what for at, what in enumerate(batch.settles) if at not in refused]
        if any(what is not None for what in taken):
            await self._settle(taken)
        if refused:
            self._to_sqs.failed(StoreError(f"the queue refused {len(refused)} messages."))
        else:
            self._to_sqs.succeeded()
        self._work.set()  # a run may have become ready to end

    async def _settle(self, taken: "list[MessageRow | FragmentId | str | None]") -> None:
        await self._owner.call(
            self._owner.spool.sent,
            [what for what in taken if isinstance(what, FragmentId)],
            [what for what in taken if isinstance(what, MessageRow)],
            [what for what in taken if isinstance(what, str)],
        )

    async def _write_ends(self) -> None:
        while True:
            await self._to_s3.ready()
            heard = self._work.heard()
            ends = await self._owner.call(self._owner.spool.ends_to_write, 20)
            for run, event in ends:
                if not await self._write_end(run.run, event):
                    break
            if not ends:
                await heard

    async def _write_end(self, run: str, event: RunEnded) -> bool:
        key, body = run_end_key(event.camera, event.run), encode(event)
        sha256 = hashlib.sha256(body).hexdigest()
        stands: RunEnded | None = None
        try:
            await self._store.put_once(
                key,
                body,
                sha256=sha256,
                metadata={},
                content_type="application/json",
            )
        except ObjectExistsError:
            # Only where the journal was lost: what was said first counts.
            stands = await self._standing(key)
            log.warning("the run's end stands already", extra={"camera": event.camera, "run": run})
        except StoreError as error:
            self._to_s3.failed(error)
            if isinstance(error, CredentialsError):
                await self._store.renew()
            return False
        self._to_s3.succeeded()
        await self._owner.call(self._owner.spool.end_written, run, stands)
        self._work.set()
        return True

    async def _standing(self, key: str) -> RunEnded | None:
        try:
            return RunEnded.model_validate_json(await self._store.get(key))
        except (StoreError, ValidationError):
            return None
