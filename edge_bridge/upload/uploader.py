"""PUTs of fragments: whole, with their hash, once each."""

import asyncio
import logging
import time

from domain.errors import CredentialsError, ObjectExistsError, StoreError
from domain.events import FragmentArrived
from domain.identity import FragmentId, fragment_key
from edge_bridge import metrics
from edge_bridge.spool.rows import SpooledFragment
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.adaptive_timeout import AdaptiveTimeout
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.quarantine import FragmentQuarantine
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.signed_events import NotEnrolled, Signer, metadata_of
from edge_bridge.upload.stall_probe import StallProbe
from edge_bridge.upload.wakeup import Wakeup
from stores.signed_objects import SignedObjectStore
from stores.upload_file import UploadFile

log = logging.getLogger(__name__)

_REPORT_AT_STRIKES = 3
"""A fragment that failed so often while others succeeded is reported in the log."""


class FragmentUploader:
    """Tasks that upload the spool's fragments to S3; `run` goes on until cancelled."""

    def __init__(
        self,
        spool: SpoolThread,
        store: SignedObjectStore,
        link: Link,
        *,
        stored: Wakeup,
        uploaded: Wakeup,
        scheduler: UploadScheduler,
        bandwidth: BandwidthLimiter,
        concurrency: ConcurrencyLimit,
        signer: Signer | None = None,
    ) -> None:
        """`stored` wakes this: the spool has another fragment. `uploaded` is set after each PUT."""
        self._spool = spool
        self._store = store
        self._link = link
        self._stored = stored
        self._uploaded = uploaded
        self._scheduler = scheduler
        self._bandwidth = bandwidth
        self._concurrency = concurrency
        self._signer = signer or NotEnrolled()
        self._timeout = AdaptiveTimeout()
        self._stall_probe = StallProbe(store.is_reachable)
        self._quarantine = FragmentQuarantine()
        self._in_flight: set[FragmentId] = set()
        self._claim_lock = asyncio.Lock()
        self._limit_changed = asyncio.Condition()

    async def run(self) -> None:
        """Upload until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stall_probe.run(), name="stall-probe")
            for number in range(self._concurrency.maximum):
                group.create_task(self._upload_forever(number), name=f"upload-{number}")

    async def _upload_forever(self, number: int) -> None:
        """Upload one fragment after another, while `number` is below the concurrency limit."""
        while True:
            async with self._limit_changed:
                await self._limit_changed.wait_for(lambda: number < self._concurrency.limit)
            await self._link.ready()
            row = await self._claim()
            try:
                await self._upload(row)
            finally:
                self._in_flight.discard(row.id)

    async def _claim(self) -> SpooledFragment:
        """Return the next fragment, waiting for one; it is in flight from now on."""
        async with self._claim_lock:
            while True:
                await self._bandwidth.ready()
                woken = self._stored.waiter()
                excluded = self._in_flight | self._quarantine.excluded(time.monotonic())
                rows = await self._spool.call(self._scheduler.candidates, len(excluded))
                row = self._scheduler.pick(rows, excluded)
                if row is None:
                    # Nothing else waits: then those that failed just now are tried again.
                    excluded = self._in_flight | self._quarantine.quarantined(time.monotonic())
                    row = self._scheduler.pick(rows, excluded)
                if row is not None:
                    self._in_flight.add(row.id)
                    self._bandwidth.spend(row.size)
                    return row
                self._concurrency.idle()
                await woken

    async def _failed(self, error: StoreError, fragment: FragmentId) -> None:
        self._link.failed(error)
        self._quarantine.failed(fragment)
        self._concurrency.failed()
        await self._publish_limit()
        if isinstance(error, CredentialsError):
            await self._store.reload_credentials()

    async def _publish_limit(self) -> None:
        metrics.UPLOADS_AT_ONCE.set(self._concurrency.limit)
        async with self._limit_changed:
            self._limit_changed.notify_all()

    async def _upload(self, row: SpooledFragment) -> None:
        event = await self._spool.call(lambda spool: spool.event_of(row))
        if event is None:
            return
        try:
            file = await asyncio.to_thread(self._spool.open_file, row, event.size_bytes)
        except OSError as error:
            # Discarded for space during this, removed by hand, or the disk failed.
            fault = error
            await self._spool.call(lambda spool: spool.unreadable(row.id, fault))
            return
        try:
            await self._upload_file(row, event, file)
        finally:
            file.close()

    async def _upload_file(
        self, row: SpooledFragment, event: FragmentArrived, file: UploadFile
    ) -> None:
        log_fields = {"camera": row.camera, "run": row.run, "seq": row.seq}
        try:
            sha256 = await asyncio.to_thread(file.sha256)
        except OSError as error:
            fault = error
            await self._spool.call(lambda spool: spool.unreadable(row.id, fault))
            return
        if sha256 != event.sha256:
            log.error(
                "a fragment's file was changed on the disk; the fragment is discarded",
                extra=log_fields,
            )
            await self._spool.call(
                lambda spool: spool.give_up(row.id, "damaged", quarantine="damaged")
            )
            return
        started_s = time.monotonic()
        self._concurrency.started(started_s)
        timeout_s = self._timeout.timeout_s(file.size)
        try:
            async with self._stall_probe.timeout(timeout_s) as stalled:
                created = await self._store.put_once(
                    fragment_key(row.camera, row.run, row.seq),
                    file,
                    sha256=event.sha256,
                    metadata=metadata_of(event, self._signer),
                )
        except TimeoutError:
            if stalled():
                log.info(
                    "the object store answers again; a stalled upload is restarted",
                    extra=log_fields,
                )
                return
            self._timeout.timed_out()
            error_text = f"no answer from the object store in {timeout_s:.0f} s."
            await self._failed(StoreError(error_text), row.id)
            return
        except ObjectExistsError as error:
            log.error("%s The fragment is discarded.", error, extra=log_fields)
            await self._spool.call(
                lambda spool: spool.give_up(row.id, "other bytes stand in S3", quarantine="refused")
            )
            return
        except StoreError as error:
            await self._failed(error, row.id)
            return
        self._link.succeeded()
        for suspect, strikes in self._quarantine.succeeded(row.id, time.monotonic()):
            if strikes == _REPORT_AT_STRIKES:
                log.error(
                    "a fragment is rejected again and again while others are accepted; it stays in "
                    "the spool and is tried again. Check proxies and firewalls on the way to S3.",
                    extra={"camera": suspect.camera, "run": suspect.run, "seq": suspect.seq},
                )
        await self._spool.call(lambda spool: spool.uploaded(row.id))
        now_s = time.monotonic()
        self._timeout.succeeded(file.size, now_s - started_s)
        self._concurrency.succeeded(now_s, file.size)
        await self._publish_limit()
        waited_s = max(time.time() - event.closed_ms / 1_000, 0.0)
        metrics.UPLOADS.labels(row.camera).inc()
        metrics.UPLOAD_BYTES.inc(file.size)
        metrics.UPLOAD_SECONDS.observe(now_s - started_s)
        metrics.IN_SPOOL_SECONDS.observe(waited_s)
        log.debug(
            "%s after %.1f s in the spool",
            "uploaded" if created else "was in S3 already",
            waited_s,
            extra=log_fields,
        )
        self._uploaded.set()
