"""What a restored catalog has forgotten, brought back from S3.

    signed heads newer than the log   an entry in each such chain says which entries are lost
    recorded erasures                 the tenants and users are erased again
    sessions                          all end: one that was ended must not be valid again

Every step may be repeated. The rest comes from Kafka and S3 by `vigil replay catalog`.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.erasure.tenant_eraser import TenantEraser
from domain.audit import AuditOrigin
from domain.audit_verify import RESTORE_ACTION
from domain.errors import ConfigError, ConflictError
from stores.catalog import Catalog
from stores.catalog.audit import record_audit
from stores.catalog.audit_heads import lost_branches
from stores.catalog.erasure import erase_user, erased_tenants, user_made_before
from stores.catalog.sessions import end_all_sessions
from stores.erasure_ledger import ErasureLedger
from stores.objects import ObjectStore

log = logging.getLogger(__name__)


@dataclass
class RestoreReport:
    """What was done, or has to be."""

    forks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By chain of the audit log: the entry restored to, and the newest signed one that is lost."""
    tenants_erased: list[str] = field(default_factory=list)
    users_erased: list[str] = field(default_factory=list)
    not_erased: dict[str, str] = field(default_factory=dict)
    """By subject: why."""
    sessions_ended: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.not_erased

    def shown(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"complete": self.complete, **asdict(self)}


class RestoredCatalog:
    """Repairs a catalog that was restored from an older state. `clock_ms` returns UTC, ms."""

    def __init__(
        self,
        catalog: Catalog,
        store: ObjectStore,
        heads: ObjectStore,
        eraser: TenantEraser,
        *,
        clock_ms: Callable[[], int],
        origin: AuditOrigin,
    ) -> None:
        """`heads`: the bucket of the audit log's signed heads."""
        self._catalog = catalog
        self._heads = heads
        self._ledger = ErasureLedger(store)
        self._eraser = eraser
        self._clock_ms = clock_ms
        self._origin = origin

    async def repair(self, *, dry_run: bool) -> RestoreReport:
        """Do all of it. Raises StoreError where a server fails: run it again."""
        report = RestoreReport()
        await self._explain_forks(report, dry_run=dry_run)
        if not dry_run:
            report.sessions_ended = await end_all_sessions(self._catalog, self._clock_ms())
        known = set(await erased_tenants(self._catalog))
        async for erasure in self._ledger.all():
            kind, _, name = erasure.subject.partition(":")
            try:
                if kind == "tenant":
                    await self._erase_tenant(name, report, known=name in known, dry_run=dry_run)
                else:
                    await self._erase_user(name, erasure.begun_ms, report, dry_run=dry_run)
            except ConflictError as error:
                report.not_erased[erasure.subject] = str(error)
        return report

    async def _explain_forks(self, report: RestoreReport, *, dry_run: bool) -> None:
        """Add an entry to each chain of which S3 has newer heads than PostgreSQL has entries."""
        async for branch in lost_branches(self._catalog, self._heads):
            fork = {
                "restored_to": branch.restored_to,
                "lost_to": branch.lost_to,
                "lost_hash": branch.lost_hash.hex(),
            }
            report.forks[branch.chain] = fork
            if not dry_run:
                entry = self._origin.entry(
                    self._clock_ms(), RESTORE_ACTION, branch.chain, tenant=branch.chain, after=fork
                )
                await record_audit(self._catalog, entry)

    async def _erase_tenant(
        self, tenant: str, report: RestoreReport, *, known: bool, dry_run: bool
    ) -> None:
        plan = await self._eraser.plan(tenant)
        if known and not plan["rows"] and not plan["objects"]:
            return
        if not dry_run:
            done = await self._eraser.erase(tenant)
            if not done["complete"]:
                report.not_erased[f"tenant:{tenant}"] = "something is left: run this again"
        report.tenants_erased.append(tenant)

    async def _erase_user(
        self, user: str, begun_ms: int, report: RestoreReport, *, dry_run: bool
    ) -> None:
        if not await user_made_before(self._catalog, user, begun_ms):
            return
        if not dry_run:
            try:
                # He was erased before: that he is the last administrator cannot keep him.
                await erase_user(self._catalog, user, self._clock_ms(), self._origin, exempt="*")
            except ConfigError as error:
                report.not_erased[f"user:{user}"] = str(error)
                return
        report.users_erased.append(user)
