"""`vigil retention`: set how long footage is kept, and delete what is older."""

import argparse
import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from agents.erasure.tenant_eraser import TenantEraser, sweep
from agents.retention.deletion_stats import UNSAFE_RULES
from agents.retention.retention_pass import RetentionPass
from cli.audit_origin import cli_origin, current_user
from cli.durations import duration_ms
from cli.periodic import check_interval, run_periodically
from domain.errors import ConfigError
from domain.identity import check_camera
from domain.lifecycle import lifecycle, unsafe_rules
from domain.printable import printable
from domain.retention import DAY_MS, MAX_DAYS, Margins, RetentionRule, check_scope, covers
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog, known_cameras, retention, retention_rules
from stores.catalog.idempotency import delete_old_keys
from stores.catalog.partitions import drop_empty_partitions
from stores.catalog.retention_preview import preview_rule
from stores.objects import ObjectStore
from streams import logs
from streams.sender import KafkaSender
from streams.settings import Settings, get_settings
from streams.storage import admin_catalog, make_object_store, worker_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `retention set`, `show`, `clear`, `enforce` and `lifecycle`."""
    parser = commands.add_parser(
        "retention", help="set how long footage is kept, and delete old footage"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    scope = "tenant, tenant/site or tenant/site/camera; the most specific rule is used"
    set_parser = verbs.add_parser("set", help="set how long footage is kept")
    set_parser.add_argument("scope", help=scope)
    set_parser.add_argument("--days", type=int, required=True, help=f"1 to {MAX_DAYS}")
    set_parser.add_argument("--who", default=current_user(), help="who decides this (default: you)")
    set_parser.add_argument(
        "--preview",
        action="store_true",
        help="change nothing: show what the next pass would delete by this rule",
    )
    set_parser.set_defaults(run=run_set)
    show_parser = verbs.add_parser("show", help="list the rules")
    show_parser.add_argument(
        "scope", nargs="?", help="only the rules for this tenant, site or camera"
    )
    show_parser.set_defaults(run=run_show)
    clear_parser = verbs.add_parser(
        "clear", help="remove a rule; without a rule, footage is kept forever"
    )
    clear_parser.add_argument("scope", help=scope)
    clear_parser.set_defaults(run=run_clear)
    enforce_parser = verbs.add_parser(
        "enforce", help="delete old footage, joined fragments and replaced chunks"
    )
    enforce_parser.add_argument(
        "--camera", action="append", default=[], metavar="ID", help="only this camera (repeatable)"
    )
    enforce_parser.add_argument(
        "--every", type=duration_ms, metavar="TIME", help="repeat at this interval: 1h"
    )
    enforce_parser.add_argument("--dry-run", action="store_true", help="delete nothing, only count")
    enforce_parser.set_defaults(run=run_enforce)
    lifecycle_parser = verbs.add_parser(
        "lifecycle",
        help="print an S3 lifecycle configuration for the bucket, as a second safeguard",
    )
    lifecycle_parser.add_argument(
        "--check",
        action="store_true",
        help="compare with the bucket's own; exit status 1 if that may delete too early",
    )
    lifecycle_parser.set_defaults(run=run_lifecycle)


def _catalog() -> Catalog:
    return admin_catalog(get_settings(), size=4)


def _margins(settings: Settings) -> Margins:
    return Margins(settings.joined_margin_ms, settings.superseded_margin_ms)


def run_set(args: argparse.Namespace) -> int:
    """Set a rule, or show what it would delete."""
    if not 1 <= len(args.who.strip()) <= 100:
        raise ConfigError("--who must have 1 to 100 characters.")
    if not 1 <= args.days <= MAX_DAYS:
        raise ConfigError(f"--days must be 1 to {MAX_DAYS}.")
    rule = RetentionRule(check_scope(args.scope), args.days)
    if args.preview:
        asyncio.run(_preview(rule))
        return 0

    async def set_it() -> None:
        async with _catalog() as catalog:
            await retention_rules.set_rule(
                catalog, rule, args.who.strip(), utc_ms(), origin=cli_origin(who=args.who.strip())
            )

    asyncio.run(set_it())
    print(f"Footage of {rule.scope} is kept for {rule.days} days.")
    return 0


async def _preview(rule: RetentionRule) -> None:
    async with _catalog() as catalog:
        preview, _ = await preview_rule(catalog, rule.scope, rule.days, at_ms=utc_ms())
    for what, amount in (
        (f"To delete, of {len(preview.cameras)} cameras:", preview.deleted),
        ("Of these, deleted by the present rules too:", preview.due),
        ("Kept by legal holds:", preview.held),
    ):
        print(
            f"{what} {amount.chunks} chunks, {amount.fragments} fragments in no chunk, "
            f"{amount.size_bytes} bytes."
        )
    if preview.oldest_ms is not None and preview.newest_ms is not None:
        print(f"From {format_ms(preview.oldest_ms)} to {format_ms(preview.newest_ms)}.")
    if preview.holds:
        print(f"Holds that cover a part of it: {', '.join(map(str, preview.holds))}.")


def run_show(args: argparse.Namespace) -> int:
    """List rules, one line each."""
    scope = check_scope(args.scope) if args.scope else None

    async def show_them() -> None:
        async with _catalog() as catalog:
            for known in await retention_rules.list_rules(catalog):
                rule = known.rule
                if scope is None or covers(rule.scope, scope) or covers(scope, rule.scope):
                    print(f"{rule.scope:<60} {rule.days:>6} days  set "
                          f"{format_ms(known.set_ms)} by {known.set_by}")  # fmt: skip

    asyncio.run(show_them())
    return 0


def run_clear(args: argparse.Namespace) -> int:
    """Remove a rule."""
    check_scope(args.scope)

    async def clear_it() -> int | None:
        async with _catalog() as catalog:
            return await retention_rules.clear_rule(
                catalog, args.scope, utc_ms(), origin=cli_origin()
            )

    if asyncio.run(clear_it()) is None:
        raise ConfigError(f"{args.scope} has no rule; `vigil retention show` lists them.")
    print(f"Removed the rule of {args.scope}.")
    return 0


def run_lifecycle(args: argparse.Namespace) -> int:
    """Print the bucket's lifecycle as JSON, or check the one that the bucket has."""
    settings = get_settings()

    async def expected() -> dict[str, Any]:
        async with _catalog() as catalog:
            return await _lifecycle(catalog, settings)

    async def unsafe() -> list[str] | None:
        async with make_object_store(settings) as store, _catalog() as catalog:
            return await _unsafe_rules(store, catalog, settings)

    if not args.check:
        print(json.dumps(asyncio.run(expected()), indent=2))
        return 0
    found = asyncio.run(unsafe())
    if found is None:
        print("The store does not show the bucket's lifecycle. Allow s3:GetLifecycleConfiguration.")
        return 1
    for rule in found:
        print(f"Rule {printable(rule)} may delete footage that a hold or a longer age keeps.")
    if found:
        print("Print the lifecycle with `vigil retention lifecycle`, and apply it to the bucket.")
        return 1
    print("The bucket's lifecycle deletes nothing too early.")
    return 0


async def _lifecycle(catalog: Catalog, settings: Settings) -> dict[str, Any]:
    policy = await retention_rules.load_policy(catalog, _margins(settings))
    return lifecycle(await known_cameras(catalog), policy)


async def _unsafe_rules(
    store: ObjectStore, catalog: Catalog, settings: Settings
) -> list[str] | None:
    """Return the bucket's rules that may delete too early; None where the store hides them."""
    applied = await store.lifecycle_rules()
    if not applied:
        return applied if applied is None else []
    return unsafe_rules(applied, await _lifecycle(catalog, settings))


def run_enforce(args: argparse.Namespace) -> int:
    """Delete once, or until SIGTERM with --every. Prints a JSON line for each pass."""
    check_interval(args.every)
    for camera in args.camera:
        check_camera(camera)
    settings = get_settings()
    logs.set_up(settings)
    asyncio.run(run_periodically(lambda: _once(args, settings), args.every, settings))
    return 0


async def _once(args: argparse.Namespace, settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(make_object_store(settings))
        catalog = await stack.enter_async_context(worker_catalog(settings))
        # What it deletes of people and keys is beyond a pass's rights.
        admin = await stack.enter_async_context(admin_catalog(settings))
        sender = None if args.dry_run else await stack.enter_async_context(KafkaSender(settings))
        retention_pass = RetentionPass(store, catalog, sender, _margins(settings), utc_ms)
        cameras = sorted(args.camera) or await retention.cameras_with_footage(catalog)
        stats = await retention_pass.run(cameras)
        unsafe = await _unsafe_rules(store, catalog, settings)
        UNSAFE_RULES.set(len(unsafe or ()))
        swept = 0
        if not args.dry_run and not args.camera:
            swept = await sweep(TenantEraser(admin, store, settings, utc_ms), admin)
        days = 0 if args.dry_run else await drop_empty_partitions(catalog, utc_ms() - 2 * DAY_MS)
        if not args.dry_run:
            await delete_old_keys(admin, utc_ms())
    result = {
        "cameras": len(cameras),
        "objects": dict(stats.objects),
        "bytes": dict(stats.bytes),
        "detections": stats.detections,
        "empty_days": days,
        "erased_tenants_swept": swept,
        "held": stats.held,
        "unchecked": stats.unchecked,
        "unsafe_lifecycle_rules": None if unsafe is None else len(unsafe),
    }
    print(json.dumps(result | ({"dry_run": True} if args.dry_run else {})), flush=True)
