"""Commands that change much, step by step: the audit log has their beginning and their end."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from cli.audit_origin import cli_origin
from domain.access import INSTALLATION, tenants_of
from domain.audit import AuditEntry
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audits


@asynccontextmanager
async def audited_act(
    catalog: Catalog, action: str, cameras: Iterable[str], details: Mapping[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Write an entry to each tenant's log, then do what the body does, then write how it ended.

    Without the first entry nothing is done. The steps have transactions of their own, so a command
    that is killed leaves the first entry only. The body puts its results into what is yielded.
    `cameras`: those that it is about; none: the installation's log has it.
    """
    tenants = tenants_of(cameras) or (INSTALLATION,)
    await _write(catalog, action, tenants, {"state": "begun", **details})
    results: dict[str, Any] = {}
    try:
        yield results
    except BaseException as error:
        await _write(catalog, action, tenants, {"state": "failed", "error": type(error).__name__})
        raise
    await _write(catalog, action, tenants, {"state": "ended", **results})


async def _write(
    catalog: Catalog, action: str, tenants: Iterable[str], after: Mapping[str, Any]
) -> None:
    now_ms, origin = utc_ms(), cli_origin()
    entries: list[AuditEntry] = [
        origin.entry(now_ms, action, tenant, tenant=tenant, after=after) for tenant in tenants
    ]
    async with catalog.transaction() as connection:
        await write_audits(connection, entries)
