"""Erases a tenant: marks it, deletes rows and objects, and proves what is left.

mark ──► users ──► rows ──► objects with their versions ──► personal data of the audit log ──► count
                     ▲                                                                          │
                     └── until a pass finds nothing: events were still on their way ────────────┘

Each step may be repeated, so after a crash the command is run again. What cannot be deleted now is
in the report with the time by which it is gone.
"""

import logging
from collections.abc import Callable
from typing import Any

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.errors import ConflictError
from domain.times import format_ms
from stores.catalog import Catalog, erasure
from stores.catalog.edges import list_edges
from stores.erasure_ledger import ErasureLedger, RecordedErasure
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.topics import DEAD_LETTERS_KEPT

KINDS = ("fragments", "chunks")
PASSES = 5
HOUR_MS = 3_600_000

log = logging.getLogger(__name__)


class TenantEraser:
    """Erases one tenant. `clock_ms` returns UTC in milliseconds."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        settings: Settings,
        clock_ms: Callable[[], int],
        origin: AuditOrigin = BY_SYSTEM,
        *,
        ledger: ErasureLedger | None = None,
    ) -> None:
        """`ledger`: where erasures are recorded outside the database."""
        self._catalog = catalog
        self._store = store
        self._settings = settings
        self._clock_ms = clock_ms
        self._origin = origin
        self._ledger = ledger

    async def plan(self, tenant: str) -> dict[str, Any]:
        """Return what an erasure would delete. ConflictError: legal holds cover some of it."""
        await erasure.check_holds(self._catalog, tenant)
        rows = await erasure.count_rows(self._catalog, tenant)
        users = await erasure.users_of(self._catalog, tenant)
        return {"rows": rows, "users": len(users), "objects": await self._count_objects(tenant)}

    async def erase(self, tenant: str) -> dict[str, Any]:
        """Erase it and return the report of proof. ConflictError: legal holds cover some of it.

        Raises StoreError where a server fails: run it again.
        """
        devices = await self._devices(tenant)
        begun_ms = self._clock_ms()
        await erasure.begin_tenant(self._catalog, tenant, begun_ms, self._origin)
        if self._ledger is not None:
            await self._ledger.add(RecordedErasure(f"tenant:{tenant}", begun_ms))
        rows: dict[str, int] = {}
        objects = size = texts = users = 0
        for _ in range(PASSES):
            for user in await erasure.users_of(self._catalog, tenant):
                await erasure.erase_user(
                    self._catalog, user, self._clock_ms(), self._origin, exempt=tenant
                )
                users += 1
            deleted = await erasure.erase_rows(self._catalog, tenant)
            for table, count in deleted.items():
                rows[table] = rows.get(table, 0) + count
            found = 0
            for kind in KINDS:
                count, bytes_ = await self._store.erase(f"{kind}/{tenant}/")
                found, size = found + count, size + bytes_
            objects += found
            if not deleted and not found:
                break
        texts = await erasure.erase_tenant_personal(self._catalog, tenant)
        left = {
            "rows": await erasure.count_rows(self._catalog, tenant),
            "objects": await self._count_objects(tenant),
        }
        complete = not left["rows"] and not left["objects"]
        now_ms = self._clock_ms()
        report = {
            "tenant": tenant,
            "at": format_ms(now_ms),
            "complete": complete,
            "erased": {
                "rows": rows,
                "objects": objects,
                "bytes": size,
                "users": users,
                "audit_texts": texts,
            },
            "left": left,
            "later": self._later(now_ms, devices),
        }
        # The audit log keeps the act and its counts, and nothing of people: written last.
        await erasure.end_tenant(
            self._catalog, tenant, now_ms, report, complete=complete, origin=self._origin
        )
        return report

    async def _count_objects(self, tenant: str) -> int:
        count = 0
        for kind in KINDS:
            async for _ in self._store.list(f"{kind}/{tenant}/"):
                count += 1
        return count

    async def _devices(self, tenant: str) -> list[dict[str, Any]]:
        return [
            {"site": each.site, "edge": each.edge, "spool_bytes": each.spool_bytes}
            for each in await list_edges(self._catalog)
            if each.site.startswith(f"{tenant}/")
        ]

    def _later(self, now_ms: int, devices: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what is gone later, and by when."""
        kept_ms = self._settings.retention_hours * HOUR_MS
        return {
            "kafka_events": f"Gone by {format_ms(now_ms + kept_ms)}: the topics' retention.",
            "kafka_dead_letters": "Gone by "
            f"{format_ms(now_ms + DEAD_LETTERS_KEPT * kept_ms)}: the topic's retention.",
            "kafka_tables": "Windows that are open have ids and times. Their table deletes them "
            "when they are sealed, and its changelog when Kafka compacts it.",
            "kafka_tombstones": "Topic `deleted`: ids of cameras and times of what was deleted. It "
            "has no retention.",
            "sqs": "Messages on their way become dead letters: their cameras are not registered.",
            "audit_log": "Entries stay, without names, addresses and reasons. Ids of sites and "
            "cameras are in them.",
            "signed_heads": "Hashes only. Object Lock keeps them.",
            "backups": "Backups of the catalog and of the bucket are not changed: they are gone "
            "when they are deleted by age. After a restore, `vigil catalog restored` erases again.",
            "thumbnails": "Web workers keep pictures in memory for at most 1 h.",
            "exports": "What was downloaded is not known.",
            "devices": devices,
            "device_spools": "A device keeps its spool until it is full or deleted there. Take its "
            "credentials of S3 and SQS away, and wipe its disk.",
        }


async def sweep(eraser: TenantEraser, catalog: Catalog) -> int:
    """Erase what came after erasures, of all erased tenants; return how many had something."""
    swept = 0
    for tenant in await erasure.erased_tenants(catalog):
        try:
            plan = await eraser.plan(tenant)
            if plan["rows"] or plan["objects"]:
                await eraser.erase(tenant)
                swept += 1
                log.warning("the tenant %s was erased and still sent something", tenant)
        except ConflictError as error:
            log.error("%s", error)
    return swept
