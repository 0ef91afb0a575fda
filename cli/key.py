"""`vigil key`: create, list and revoke API keys."""

import argparse
import asyncio
from datetime import UTC, datetime

from cli.audit_origin import cli_origin
from cli.durations import duration_ms
from domain.access import Grant, Role, parse_grant
from domain.errors import ConfigError, InvalidTextError
from domain.identity import check_site
from domain.key_limits import LONGEST_OVERLAP_MS, MAX_LIFETIME_MS, check_networks
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.keys import (
    READ_ALL,
    create_key,
    list_keys,
    lock_key,
    revoke_key,
    rotate_key,
)
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `key create`, `key list` and `key revoke`."""
    parser = commands.add_parser("key", help="create and revoke API keys")
    verbs = parser.add_subparsers(dest="verb", required=True)
    making = verbs.add_parser("create", help="create a key and print it; it is not shown again")
    making.add_argument("--name", required=True, help="name of the key's owner")
    making.add_argument(
        "--edge-of",
        metavar="TENANT/SITE",
        help="for this site's edge: the key may only read its configuration",
    )
    making.add_argument(
        "--grant",
        action="append",
        metavar="ROLE:SCOPE",
        help="what the key may do, and where: viewer:acme, operator:acme/hq, viewer:acme/hq/gate. "
        "May be repeated. Without it the key reads everything of every tenant (viewer:*) and the "
        "metrics (monitor:*)",
    )
    making.add_argument(
        "--expires",
        type=duration_ms,
        metavar="TIME",
        help="reject the key after this time, such as 90d, at most 366d; without it never",
    )
    making.add_argument(
        "--network",
        action="append",
        metavar="NETWORK",
        help="only clients of this network may use the key, such as 10.1.0.0/16; may be repeated",
    )
    making.set_defaults(run=run_create)
    listing = verbs.add_parser("list", help="list the keys, without the keys themselves")
    listing.set_defaults(run=run_list)
    rotating = verbs.add_parser(
        "rotate", help="create a key with the same grants, and let the old one expire"
    )
    rotating.add_argument("number", type=int, help="the old key's number in `vigil key list`")
    rotating.add_argument(
        "--old-expires",
        type=duration_ms,
        default=86_400_000,
        metavar="TIME",
        help="reject the old key after this time, at most 31d (default: 1d)",
    )
    rotating.set_defaults(run=run_rotate)
    revoking = verbs.add_parser("revoke", help="reject a key from now on")
    revoking.add_argument("number", type=int, help="the key's number, as `vigil key list` shows it")
    revoking.set_defaults(run=run_revoke)


def parse_key_grant(text: str) -> Grant:
    """Return the grant ROLE:SCOPE of a key of people and programs."""
    grant = parse_grant(text)
    if grant.role is Role.EDGE:
        raise ConfigError("The role edge is for devices: use --edge-of TENANT/SITE.")
    return grant


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%F %TZ")


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def run_create(args: argparse.Namespace) -> int:
    """Create; prints only the key, for scripts."""
    name = args.name.strip()
    if not 1 <= len(name) <= 100:
        raise ConfigError("A key's name must have 1 to 100 characters.")
    edge_of = None if args.edge_of is None else check_site(args.edge_of)
    if edge_of is not None and args.grant:
        raise ConfigError("The key of an edge has no other grants: omit --grant or --edge-of.")
    if args.expires is not None and not 0 < args.expires <= MAX_LIFETIME_MS:
        raise ConfigError("A key expires after 1s to 366d: write --expires 90d.")
    try:
        networks = check_networks(args.network) if args.network else None
    except InvalidTextError as error:
        raise ConfigError(f"--network: {error}") from None
    grants = tuple(map(parse_key_grant, args.grant)) if args.grant else READ_ALL

    async def creating() -> str:
        async with _catalog() as catalog:
            now_ms = utc_ms()
            expires_ms = None if args.expires is None else now_ms + args.expires
            return await create_key(
                catalog,
                name,
                now_ms,
                edge_of,
                grants,
                expires_ms=expires_ms,
                networks=networks,
                origin=cli_origin(),
            )

    print(asyncio.run(creating()))
    return 0


def run_list(_args: argparse.Namespace) -> int:
    """List; one line each: number, first characters, name, creation, state, limits, grants."""

    async def listing() -> None:
        async with _catalog() as catalog:
            for key in await list_keys(catalog):
                made = _time(key.created_ms)
                state = key.state(utc_ms())
                used = f"used {_time(key.used_ms)}" if key.used_ms else "never used"
                expires = f"expires {_time(key.expires_ms)}" if key.expires_ms else "no expiry"
                grants = " ".join(map(str, key.grants))
                networks = f"  from {' '.join(key.networks)}" if key.networks else ""
                print(
                    f"{key.id:>4}  {key.hint}…  {key.name:<30} {made}  {state:<7}  {expires}  "
                    f"{used}  {grants}{networks}"
                )

    asyncio.run(listing())
    return 0


def run_rotate(args: argparse.Namespace) -> int:
    """Rotate; prints only the new key, for scripts."""
    if not 0 <= args.old_expires <= LONGEST_OVERLAP_MS:
        raise ConfigError("--old-expires must be at most 31d.")

    async def rotating() -> str | None:
        async with _catalog() as catalog, catalog.transaction() as connection:
            now_ms = utc_ms()
            old = await lock_key(connection, args.number)
            if old is None or old.state(now_ms) != "valid":
                return None
            expires_ms = now_ms + args.old_expires
            new = old.successor(now_ms)
            number, key = await rotate_key(connection, old, new, expires_ms, now_ms)
            entry = cli_origin().entry(
                now_ms, "key:rotate", f"key:{number}", tenant=new.tenant, after=new.audited()
            )
            await write_audit(connection, entry)
            return key

    key = asyncio.run(rotating())
    if key is None:
        raise ConfigError(f"There is no valid key {args.number}; `vigil key list` shows them.")
    print(key)
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke; sessions with the key end within seconds."""

    async def revoking() -> str | None:
        async with _catalog() as catalog:
            return await revoke_key(catalog, args.number, utc_ms(), origin=cli_origin())

    name = asyncio.run(revoking())
    if name is None:
        raise ConfigError(f"There is no key {args.number}; `vigil key list` shows them.")
    print(f"Revoked key {args.number} ({name}).")
    return 0
