"""Audit entries of what changes nothing: footage that is watched, searches, what was refused.

request ──► note ──► seen in this minute? ──► a bounded queue ──► one transaction for many
                     (memory, then PostgreSQL: several workers write one entry)

Changes never come here: their entry is in their own transaction (stores/catalog/audit.py).
A request does not wait for its entry. Where PostgreSQL does not answer, entries wait in memory, and
what exceeds MAX_WAITING is counted and logged: the catalog is needed to read footage anyway.
"""

import asyncio
import collections
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from cachetools import TTLCache
from prometheus_client import Counter

from domain.audit import AuditOrigin, Json, Outcome, bounded, canonical
from domain.errors import InvalidEventError, StoreError
from stores.catalog import Catalog
from stores.catalog.audit import AuditNote, write_notes
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from streams.storage import LazyStore

MINUTE_MS = 60_000
FLUSH_S = 0.5
RETRY_S = 2.0
BATCH = 200
MAX_SEEN = 50_000
MAX_WAITING = 10_000
MAX_PER_MINUTE = 240
"""Entries of one actor in a minute that have details. Further ones: one for each resource."""
CLOSE_S = 5.0

LOST = Counter(
    "vigil_audit_lost_notes",
    "Audit entries of reads and refusals that were not written. Changes are never among them",
    registry=REGISTRY,
)
log = logging.getLogger(__name__)


class AuditReads:
    """Writes the entries of reads and refusals of one process; one a minute for each."""

    def __init__(self, catalog: LazyStore[Catalog], clock_ms: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock_ms = clock_ms
        self._seen: TTLCache[tuple[int, bytes], bool] = TTLCache(
            MAX_SEEN, 2 * MINUTE_MS, timer=clock_ms
        )
        self._waiting: deque[AuditNote] = deque()
        self._task: asyncio.Task[None] | None = None
        self._minute_ms = 0
        self._counts: collections.Counter[str] = collections.Counter()

    def note(
        self,
        origin: AuditOrigin,
        action: str,
        resource: str,
        *,
        chain: str,
        details: Mapping[str, Any] | None = None,
        outcome: Outcome = "done",
    ) -> None:
        """Write an entry soon, unless this minute has one of the same act and details."""
        now_ms = self._clock_ms()
        minute_ms = now_ms - now_ms % MINUTE_MS
        what = self._what(minute_ms, origin, (chain, action, outcome, resource), details)
        if what is None:
            return
        key, after = what
        self._seen[minute_ms, key] = True
        if len(self._waiting) >= MAX_WAITING:
            LOST.inc()
            return
        entry = origin.entry(now_ms, action, resource, tenant=chain, after=after, outcome=outcome)
        self._waiting.append(AuditNote(entry, minute_ms, key))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write_waiting(FLUSH_S))

    def _what(
        self,
        minute_ms: int,
        origin: AuditOrigin,
        act: tuple[str, str, str, str],
        details: Mapping[str, Any] | None,
    ) -> tuple[bytes, Any] | None:
        """Return the key of a note and its details; None where it was noted in this minute."""
        if minute_ms != self._minute_ms:
            self._minute_ms = minute_ms
            self._counts.clear()
        # Of strangers, each address is one actor.
        actor = f"{origin.actor} {'' if origin.session else origin.address}"
        full = None if details is None else bounded(details)
        more: Json = {"more": True}
        for after in (full, more):
            text = canonical([actor, *act, after])
            key = hashlib.blake2b(text.encode(), digest_size=16).digest()
            if (minute_ms, key) in self._seen:
                return None
            if after is not full or self._counts[actor] < MAX_PER_MINUTE:
                self._counts[actor] += 1
                return key, after
        return None

    async def close(self) -> None:
        """Write what waits; give up after a few seconds."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(CLOSE_S):
                while self._waiting:
                    await self._write(BATCH)
        except (StoreError, TimeoutError) as error:
            LOST.inc(len(self._waiting))
            log.error("%d audit entries of reads are lost: %s", len(self._waiting), error)

    async def _write_waiting(self, delay_s: float) -> None:
        while self._waiting:
            await asyncio.sleep(delay_s)
            delay_s = FLUSH_S
            try:
                await self._write(BATCH)
            except StoreError as error:
                log.warning("audit entries of reads wait: %s", error)
                delay_s = RETRY_S

    async def _write(self, count: int) -> None:
        """Write the oldest entries. A cancelled or failed attempt leaves them waiting."""
        batch = [self._waiting[at] for at in range(min(count, len(self._waiting)))]
        with all_tenants():
            catalog = await self._catalog.get()
            try:
                async with catalog.transaction() as connection:
                    await write_notes(connection, batch)
            except InvalidEventError as error:  # another try would fail too
                LOST.inc(len(batch))
                log.error("%d audit entries of reads were rejected: %s", len(batch), error)
        for _ in batch:
            self._waiting.popleft()
