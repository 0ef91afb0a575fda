"""What goes to the queue: heartbeats, messages, notices, ends of runs; one task sends all.

A run's end is last. When all its fragments are noticed (or discarded), its end.json is PUT. Once
that is in S3, its notice is sent.
"""

import asyncio
import hashlib
import logging
import random
import time
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
from edge_bridge.upload.adaptive_timeout import RequestTimeout
from edge_bridge.upload.batch import MAX_BODY_BYTES, QueueBatch, QueueItem
from edge_bridge.upload.link import Link
from edge_bridge.upload.rejected import RejectedMessages, Suspect
from edge_bridge.upload.signed_events import NotEnrolled, Signer, end_metadata, notice_of
from edge_bridge.upload.wakeup import Wakeup
from stores.message_batch import MAX_BATCH, RejectedMessage
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue

log = logging.getLogger(__name__)

_RESERVED_FOR_NOTICES = MAX_BATCH // 2
"""Places of a batch that messages leave to notices."""
_RUN_END_TIMEOUT_S = 120.0
"""For the PUT of a run's end: a few kilobytes, enough on the slowest line too."""


class OutboxSender:
    """Sends in batches until cancelled."""

    def __init__(
        self,
        spool: SpoolThread,
        store: SignedObjectStore,
        queue: SignedQueue,
        *,
        to_s3: Link,
        to_sqs: Link,
        work: Wakeup,
        spend: Callable[[int], None] = lambda _: None,
        signer: Signer | None = None,
        timeout: RequestTimeout | None = None,
    ) -> None:
        """`work` wakes this: a fragment was uploaded, a message was stored, a run ended.

        `spend` is called with the number of bytes sent. `signer` signs what is sent. `timeout`: of
        requests to the queue.
        """
        self._spool = spool
        self._store = store
        self._queue = queue
        self._to_s3 = to_s3
        self._to_sqs = to_sqs
        self._work = work
        self._spend = spend
        self._signer = signer or NotEnrolled()
        self._timeout = timeout or RequestTimeout()
        self._heartbeat: bytes | None = None
        self._rejected = RejectedMessages()

    def heartbeat(self, body: bytes) -> None:
        """Send a heartbeat with the next batch; only the newest is kept."""
        self._heartbeat = body
        self._work.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(), name="send")
            group.create_task(self._write_run_ends(), name="write-ends")

    async def _send(self) -> None:
        while True:
            await self._to_sqs.ready()
            woken = self._work.waiter()
            if self._rejected.suspects:
                await self._send_alone(self._rejected.suspects.popleft())
                continue
            try:
                batch = await self._collect_batch()
            except DiskError:
                # The spool cannot be read now; the heartbeat shows that the edge lives.
                batch = QueueBatch()
                self._add_heartbeat(batch)
            if batch.bodies:
                await self._send_batch(batch)
            elif self._rejected.quarantined:
                # Nothing else waits that could show whether the queue accepts anything: try them.
                self._rejected.quarantined.clear()
            else:
                await woken

    async def _collect_batch(self) -> QueueBatch:
        """Return the next batch: messages, notices, ends of runs, the heartbeat."""
        has_heartbeat = self._heartbeat is not None
        batch = QueueBatch(max_messages=MAX_BATCH - 1 if has_heartbeat else MAX_BATCH)
        quarantined = self._rejected.quarantined
        wanted = MAX_BATCH + len(quarantined)
        notices = await self._spool.call(lambda spool: spool.unnoticed(wanted))
        notices = [row for row in notices if row.id not in quarantined]
        messages = await self._spool.call(lambda spool: spool.messages(wanted))
        max_messages = MAX_BATCH - min(len(notices), _RESERVED_FOR_NOTICES)
        for message in messages:
            if message in quarantined:
                continue
            if (reason := _unsendable_reason(message.body)) is not None:
                await self._discard(message, reason)
            elif len(batch.bodies) >= max_messages or not self._add(batch, message.body, message):
                break
        for row in notices:
            notice, signature = notice_of(row, self._signer)
            if not batch.add(notice, row.id, signature):
                break
        for run, body in await self._spool.call(lambda spool: spool.ends_to_notice()):
            if run not in quarantined and not self._add(batch, body, run):
                break
        # Last, so that no newer one comes while the rest is collected. Its place is reserved.
        batch.max_messages = MAX_BATCH
        self._add_heartbeat(batch)
        return batch

    def _add(self, batch: QueueBatch, body: bytes, item: QueueItem) -> bool:
        return batch.add(body, item, self._signer.sign(body))

    def _add_heartbeat(self, batch: QueueBatch) -> None:
        if self._heartbeat is not None and self._add(batch, self._heartbeat, None):
            batch.heartbeat = self._heartbeat
            self._heartbeat = None

    async def _send_batch(self, batch: QueueBatch) -> None:
        try:
            refusals = await self._request(batch.bodies, batch.signatures)
        except RefusedError as error:
            self._to_sqs.failed(error)
            self._rejected.batch_rejected(batch.bodies, batch.items)
            return
        except StoreError as error:
            if self._heartbeat is None:
                self._heartbeat = batch.heartbeat
            await self._failed(error)
            return
        self._spend(sum(map(len, batch.bodies)))
        refused = {one.index for one in refusals}
        accepted = [item for index, item in enumerate(batch.items) if index not in refused]
        for one in refusals:
            if one.sender_fault:
                self._rejected.message_rejected(
                    batch.bodies[one.index], batch.items[one.index], retried=False
                )
        if accepted:
            self._to_sqs.succeeded()
            self._rejected.accepted()
        if refusals:
            error_text = f"the queue rejected {len(refusals)} messages ({refusals[0].reason})."
            self._to_sqs.failed(StoreError(error_text))
        if any(item is not None for item in accepted):
            await self._mark_sent(accepted)
        self._work.set()  # a run may be ready to end now

    async def _send_alone(self, suspect: Suspect) -> None:
        try:
            signature = self._signer.sign(suspect.body)
            refusals = await self._request([suspect.body], [signature])
            if any(not one.sender_fault for one in refusals):
                raise StoreError(f"the queue rejected a message ({refusals[0].reason}).")
            if refusals:
                raise RefusedError(f"the queue rejected a message ({refusals[0].reason}).")
        except RefusedError as error:
            if self._rejected.message_rejected(suspect.body, suspect.item, suspect.retried):
                await self._discard(suspect.item, str(error))
            else:
                self._to_sqs.failed(error)
            return
        except StoreError as error:
            self._rejected.suspects.appendleft(suspect)
            await self._failed(error)
            return
        self._spend(len(suspect.body))
        self._to_sqs.succeeded()
        self._rejected.accepted()
        if suspect.item is not None:
            await self._mark_sent([suspect.item])
        self._work.set()

    async def _request(
        self, bodies: list[bytes], signatures: list[str | None]
    ) -> list[RejectedMessage]:
        """Send one request. One without an answer fails soon: the messages may arrive twice."""
        timeout_s = self._timeout.timeout_s(sum(map(len, bodies)))
        started_s = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                refusals = await self._queue.send(bodies, signatures)
        except TimeoutError:
            self._timeout.timed_out()
            raise StoreError(f"no answer from the queue in {timeout_s:.0f} s.") from None
        self._timeout.succeeded(time.monotonic() - started_s)
        return refusals

    async def _failed(self, error: StoreError) -> None:
        self._to_sqs.failed(error)
        if isinstance(error, CredentialsError):
            await self._queue.reload_credentials()

    async def _discard(self, item: QueueItem, reason: str) -> None:
        """Discard what the queue never accepts. For notices and ends, S3 has everything."""
        metrics.MESSAGES_DROPPED.inc()
        label = item.type if isinstance(item, OutboxMessage) else item
        log.error("a message is discarded (%s): %s", label, reason)
        await self._mark_sent([item])

    async def _mark_sent(self, items: list[QueueItem]) -> None:
        await self._spool.call(
            lambda spool: spool.sent(
                [item for item in items if isinstance(item, FragmentId)],
                [item for item in items if isinstance(item, OutboxMessage)],
                [item for item in items if isinstance(item, str)],
            )
        )

    async def _write_run_ends(self) -> None:
        while True:
            await self._to_s3.ready()
            woken = self._work.waiter()
            try:
                written = await self._write_some_run_ends()
            except DiskError:  # heartbeats continue; the spool is asked again later
                written = False
            if not written:
                await woken

    async def _write_some_run_ends(self) -> bool:
        """Return whether there were any, written or not."""
        ends = await self._spool.call(lambda spool: spool.ends_to_write(20))
        random.shuffle(ends)  # one that always fails does not block the others
        for run, event in ends:
            if not await self._write_run_end(run.run, event):
                break
        return bool(ends)

    async def _write_run_end(self, run: str, event: RunEnded) -> bool:
        key = run_end_key(event.camera, event.run)
        body = encode(event)
        sha256 = hashlib.sha256(body).hexdigest()
        existing: RunEnded | None = None
        try:
            async with _time_limit():
                await self._store.put_once(
                    key,
                    body,
                    sha256=sha256,
                    metadata=end_metadata(body, self._signer),
                    content_type="application/json",
                )
        except ObjectExistsError:
            # This happens only where the journal was lost: the first end that was written counts.
            try:
                existing = await self._read_run_end(key)
            except StoreError as error:
                self._to_s3.failed(error)
                return False
            log.warning(
                "S3 already has an end of this run; the first one is kept",
                extra={"camera": event.camera, "run": run},
            )
        except StoreError as error:
            self._to_s3.failed(error)
            if isinstance(error, CredentialsError):
                await self._store.reload_credentials()
            return False
        self._to_s3.succeeded()
        await self._spool.call(lambda spool: spool.end_written(run, existing))
        self._work.set()
        return True

    async def _read_run_end(self, key: str) -> RunEnded | None:
        """Return the run's end in S3; None: it cannot be parsed."""
        try:
            async with _time_limit():
                return RunEnded.model_validate_json(await self._store.get(key))
        except ValidationError:
            return None


@asynccontextmanager
async def _time_limit() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_RUN_END_TIMEOUT_S):
            yield
    except TimeoutError:
        raise StoreError(
            f"no answer from the object store in {_RUN_END_TIMEOUT_S:.0f} s."
        ) from None


def _unsendable_reason(body: bytes) -> str | None:
    if len(body) > MAX_BODY_BYTES:
        return f"it is too large, {len(body)} bytes"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "it is damaged"
    return None
