"""PUTs of fragments: whole, hashed, once."""

import asyncio
import hashlib
import logging
import time
from typing import Literal

from domain.errors import ObjectExistsError, StoreError
from domain.events import FragmentArrived
from domain.identity import FragmentId, fragment_key
from edge_bridge import metrics
from edge_bridge.spool.journal import FragmentRow
from edge_bridge.spool.owner import SpoolOwner
from edge_bridge.upload.link import Link
from edge_bridge.upload.signal import Signal
from stores.objects import ObjectStore

log = logging.getLogger(__name__)


class FragmentUploads:
    """Workers that empty the spool into S3; `run` goes on until cancelled."""

    def __init__(
        self,
        owner: SpoolOwner,
        store: ObjectStore,
        link: Link,
        *,
        stored: Signal,
        put: Signal,
        concurrency: int,
        order: Literal["live", "oldest"],
    ) -> None:
        """`stored` wakes this; `put` is set after each fragment that stands in S3."""
        self._owner, self._store, self._link = owner, store, link
        self._stored, self._put = stored, put
        self._concurrency, self._newest_first = concurrency, order == "live"
        self._in_hand: set[FragmentId] = set()
        self._claiming = asyncio.Lock()

    async def run(self) -> None:
        """Upload until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._concurrency):
                group.create_task(self._worker(), name=f"upload-{number}")

    async def _worker(self) -> None:
        while True:
            await self._link.ready()
            row = await self._claim()
            try:
                await self._upload(row)
            finally:
                self._in_hand.discard(row.id)

    async def _claim(self) -> FragmentRow:
        async with self._claiming:
            while True:
                heard = self._stored.heard()
                rows = await self._owner.call(
                    self._owner.spool.waiting,
                    len(self._in_hand) + 1,
                    newest_first=self._newest_first,
                )
                for row in rows:
                    if row.id not in self._in_hand:
                        self._in_hand.add(row.id)
                        return row
                await heard

    async def _upload(self, row: FragmentRow) -> None:
        where = {"camera": row.camera, "run": row.run, "seq": row.seq}
        spool = self._owner.spool
        event = FragmentArrived.model_validate_json(row.event)
        try:
            data = await asyncio.to_thread(
                spool.files.read, row.camera, row.run, row.seq, event.size_bytes
            )
        except OSError:
            # Given up for space meanwhile, or taken away by somebody.
            await self._owner.call(spool.give_up, row.id, "file gone")
            return
        if hashlib.sha256(data).hexdigest() != event.sha256:
            log.error("a fragment's file was changed on the disk: it is given up", extra=where)
            await self._owner.call(spool.give_up, row.id, "damaged")
            return
        began_s = time.monotonic()
        try:
            created = await self._store.put_once(
                fragment_key(row.camera, row.run, row.seq),
                data,
                sha256=event.sha256,
                metadata=event.metadata(),
            )
        except ObjectExistsError as error:
            log.error("%s It is given up.", error, extra=where)
            await self._owner.call(spool.give_up, row.id, "other bytes stand in S3")
            return
        except StoreError as error:
            self._link.failed(error)
            return
        self._link.succeeded()
        await self._owner.call(spool.uploaded, row.id)
        metrics.UPLOADS.labels(row.camera).inc()
        metrics.UPLOAD_BYTES.inc(len(data))
        metrics.UPLOAD_SECONDS.observe(time.monotonic() - began_s)
        log.debug("uploaded" if created else "stood in S3 already", extra=where)
        self._put.set()
