"""PUTs of fragments: whole, hashed, once."""

import asyncio
import hashlib
import logging
import time

from domain.errors import CredentialsError, ObjectExistsError, StoreError
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
from edge_bridge.upload.stall_probe import StallProbe
from edge_bridge.upload.wakeup import Wakeup
from stores.objects import ObjectStore

log = logging.getLogger(__name__)

_TOLD_AT = 3


class FragmentUploader:
    """Workers that empty the spool into S3; `run` goes on until cancelled."""

    def __init__(
        self,
        owner: SpoolThread,
        store: ObjectStore,
        link: Link,
        *,
        stored: Wakeup,
        put: Wakeup,
        choice: UploadScheduler,
        bandwidth: BandwidthLimiter,
        parallel: ConcurrencyLimit,
    ) -> None:
        """`stored` wakes this; `put` is set after each fragment that stands in S3."""
        self._owner, self._store, self._link = owner, store, link
        self._stored, self._put = stored, put
        self._choice, self._bandwidth, self._parallel = choice, bandwidth, parallel
        self._patience = AdaptiveTimeout()
        self._hearing = StallProbe(store.is_reachable)
        self._stubborn = FragmentQuarantine()
        self._in_hand: set[FragmentId] = set()
        self._claiming = asyncio.Lock()
        self._room = asyncio.Condition()

    async def run(self) -> None:
        """Upload until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hearing.run(), name="hearing")
            for number in range(self._parallel.most):
                group.create_task(self._worker(number), name=f"upload-{number}")

    async def _worker(self, number: int) -> None:
        while True:
            async with self._room:
                await self._room.wait_for(lambda: number < self._parallel.now)
            await self._link.ready()
            row = await self._claim()
            try:
                await self._upload(row)
            finally:
                self._in_hand.discard(row.id)

    async def _claim(self) -> SpooledFragment:
        async with self._claiming:
            while True:
                await self._bandwidth.ready()
                heard = self._stored.heard()
                taken = self._in_hand | self._stubborn.waiting(time.monotonic())
                rows = await self._owner.call(self._choice.look, self._owner.spool, len(taken))
                row = self._choice.pick(rows, taken)
                if row is None:  # nothing else is there: those that failed just now, then
                    taken = self._in_hand | self._stubborn.apart(time.monotonic())
                    row = self._choice.pick(rows, taken)
                if row is not None:
                    self._in_hand.add(row.id)
                    self._bandwidth.spend(row.size)
                    return row
                self._parallel.idle()
                await heard

    async def _failed(self, error: StoreError, one: FragmentId) -> None:
        self._link.failed(error)
        self._stubborn.failed(one)
        self._parallel.failed()
        await self._adapted()
        if isinstance(error, CredentialsError):
            await self._store.reload_credentials()

    async def _adapted(self) -> None:
        metrics.UPLOADS_AT_ONCE.set(self._parallel.now)
        async with self._room:
            self._room.notify_all()

    async def _upload(self, row: SpooledFragment) -> None:
        where = {"camera": row.camera, "run": row.run, "seq": row.seq}
        spool = self._owner.spool
        event = await self._owner.call(spool.event_of, row)
        if event is None:
            return
        try:
            data = await asyncio.to_thread(
                spool.files.read, row.camera, row.run, row.seq, event.size_bytes
            )
        except OSError as error:
            # Given up for space meanwhile, or taken away by somebody, or the disk is.
            await self._owner.call(spool.unreadable, row.id, error)
            return
        if hashlib.sha256(data).hexdigest() != event.sha256:
            log.error("a fragment's file was changed on the disk: it is given up", extra=where)
            await self._owner.call(spool.give_up, row.id, "damaged", keep="damaged")
            return
        began_s = time.monotonic()
        self._parallel.began(began_s)
        allowed_s = self._patience.allowed_s(len(data))
        try:
            async with self._hearing.limited(allowed_s) as anew:
                created = await self._store.put_once(
                    fragment_key(row.camera, row.run, row.seq),
                    data,
                    sha256=event.sha256,
                    metadata=event.metadata(),
                )
        except TimeoutError:
            if anew():
                log.info("the object store answers again: a fragment is sent anew", extra=where)
                return
            self._patience.ran_out()
            said = f"no answer from the object store in {allowed_s:.0f} s."
            await self._failed(StoreError(said), row.id)
            return
        except ObjectExistsError as error:
            log.error("%s It is given up.", error, extra=where)
            await self._owner.call(spool.give_up, row.id, "other bytes stand in S3", keep="refused")
            return
        except StoreError as error:
            await self._failed(error, row.id)
            return
        self._link.succeeded()
        for one, strikes in self._stubborn.succeeded(row.id, time.monotonic()):
            if strikes == _TOLD_AT:
                log.error(
                    "a fragment is refused again and again while others are taken; it is tried on",
                    extra={"camera": one.camera, "run": one.run, "seq": one.seq},
                )
        await self._owner.call(spool.uploaded, row.id)
        now_s = time.monotonic()
        self._patience.took(len(data), now_s - began_s)
        self._parallel.succeeded(now_s, len(data))
        await self._adapted()
        waited_s = max(time.time() - event.closed_ms / 1_000, 0.0)
        metrics.UPLOADS.labels(row.camera).inc()
        metrics.UPLOAD_BYTES.inc(len(data))
        metrics.UPLOAD_SECONDS.observe(now_s - began_s)
        metrics.IN_SPOOL_SECONDS.observe(waited_s)
        log.debug(
            "%s after %.1f s in the spool",
            "uploaded" if created else "stood in S3 already",
            waited_s,
            extra=where,
        )
        self._put.set()
