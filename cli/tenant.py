"""`vigil tenant`: erase a tenant, with a report of proof."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from agents.erasure.tenant_eraser import TenantEraser
from cli.audit_origin import cli_origin
from domain.errors import ConfigError
from domain.identity import check_tenant
from domain.times import utc_ms
from stores.erasure_ledger import ErasureLedger
from streams.settings import get_settings
from streams.storage import admin_catalog, make_object_store


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `tenant erase`."""
    parser = commands.add_parser("tenant", help="erase a tenant")
    verbs = parser.add_subparsers(dest="verb", required=True)
    erase = verbs.add_parser(
        "erase",
        help="delete all data of a tenant; without --confirm, print what would be deleted",
        description="The tenant cannot be made again. A legal hold on anything of it prevents the "
        "erasure. It may be interrupted: run it again. Run it again after the devices are off, and "
        "after a backup was restored.",
    )
    erase.add_argument("tenant", help="the tenant's id")
    erase.add_argument("--confirm", metavar="TENANT", help="the tenant's id again: erase it")
    erase.add_argument("--why", default="", help="the reason, for the audit log's own chain")
    erase.set_defaults(run=run_erase)


def run_erase(args: argparse.Namespace) -> int:
    """Print a JSON report; exit status 1 where something is left."""
    tenant = check_tenant(args.tenant)
    if args.confirm not in (None, tenant):
        raise ConfigError(f"--confirm is not {tenant}: write the id of the tenant to erase.")

    async def erasing() -> dict[str, Any]:
        settings = get_settings()
        async with AsyncExitStack() as stack:
            catalog = await stack.enter_async_context(admin_catalog(settings, size=2))
            store = await stack.enter_async_context(make_object_store(settings))
            origin, ledger = cli_origin(args.why), ErasureLedger(store)
            eraser = TenantEraser(catalog, store, settings, utc_ms, origin, ledger=ledger)
            if args.confirm is None:
                return {"dry_run": True, "tenant": tenant, **await eraser.plan(tenant)}
            return await eraser.erase(tenant)

    report = asyncio.run(erasing())
    print(json.dumps(report, indent=2))
    return 0 if report.get("dry_run") or report["complete"] else 1
