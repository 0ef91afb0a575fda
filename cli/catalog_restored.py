"""`vigil catalog restored`: repair a catalog that was restored from an older state."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from agents.erasure.restored import RestoredCatalog, RestoreReport
from agents.erasure.tenant_eraser import TenantEraser
from cli.audit_origin import cli_origin
from domain.times import utc_ms
from streams.settings import get_settings
from streams.storage import admin_catalog, make_object_store


def add(verbs: Any) -> None:
    """Add `catalog restored`."""
    restored = verbs.add_parser(
        "restored",
        help="after PostgreSQL was restored: erase again what was erased, explain the audit log",
        description="Run it before any other program starts (docs/how-to/recover.md). It reads "
        "S3, which was not restored: erasures since then are repeated, all sessions end, and an "
        "entry of the audit log says which entries are lost. Without --confirm it only says so.",
    )
    restored.add_argument("--confirm", action="store_true", help="do it")
    restored.add_argument("--why", default="", help="the reason, for the audit log")
    restored.add_argument(
        "--heads-bucket", metavar="BUCKET",
        help="bucket of the audit log's signed heads (default: that of the footage)",
    )  # fmt: skip
    restored.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a JSON report; exit status 1 where something is left."""

    async def repairing() -> RestoreReport:
        settings = get_settings()
        async with AsyncExitStack() as stack:
            catalog = await stack.enter_async_context(admin_catalog(settings, size=2))
            store = await stack.enter_async_context(make_object_store(settings))
            heads = await stack.enter_async_context(make_object_store(settings))
            if args.heads_bucket:
                heads.bucket = args.heads_bucket
            origin = cli_origin(args.why)
            eraser = TenantEraser(catalog, store, settings, utc_ms, origin)
            restored = RestoredCatalog(
                catalog, store, heads, eraser, clock_ms=utc_ms, origin=origin
            )
            return await restored.repair(dry_run=not args.confirm)

    report = asyncio.run(repairing())
    print(json.dumps({"dry_run": not args.confirm, **report.shown()}, indent=2))
    return 0 if report.complete else 1
