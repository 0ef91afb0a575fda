"""`vigil key`: create, list and revoke API keys."""

import argparse
import asyncio
from datetime import UTC, datetime

from domain.access import Grant, Role, parse_grant
from domain.errors import ConfigError
from domain.identity import check_site
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.keys import READ_ALL, create_key, list_keys, revoke_key
from streams.settings import get_settings


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
    making.set_defaults(run=run_create)
    listing = verbs.add_parser("list", help="list the keys, without the keys themselves")
    listing.set_defaults(run=run_list)
    revoking = verbs.add_parser("revoke", help="reject a key from now on")
    revoking.add_argument("number", type=int, help="the key's number, as `vigil key list` shows it")
    revoking.set_defaults(run=run_revoke)


def parse_key_grant(text: str) -> Grant:
    """Return the grant ROLE:SCOPE of a key of people and programs."""
    grant = parse_grant(text)
    if grant.role is Role.EDGE:
        raise ConfigError("The role edge is for devices: use --edge-of TENANT/SITE.")
    return grant


def _catalog() -> Catalog:
    return Catalog(get_settings().database_url.get_secret_value(), size=1)


def run_create(args: argparse.Namespace) -> int:
    """Create; prints only the key, for scripts."""
    name = args.name.strip()
    if not 1 <= len(name) <= 100:
        raise ConfigError("A key's name must have 1 to 100 characters.")
    edge_of = None if args.edge_of is None else check_site(args.edge_of)
    if edge_of is not None and args.grant:
        raise ConfigError("The key of an edge has no other grants: omit --grant or --edge-of.")
    grants = tuple(map(parse_key_grant, args.grant)) if args.grant else READ_ALL

    async def creating() -> str:
        async with _catalog() as catalog:
            return await create_key(catalog, name, utc_ms(), edge_of, grants)

    print(asyncio.run(creating()))
    return 0


def run_list(_args: argparse.Namespace) -> int:
    """List; one line each: number, first characters, name, creation, state, grants."""

    async def listing() -> None:
        async with _catalog() as catalog:
            for key in await list_keys(catalog):
                made = datetime.fromtimestamp(key.created_ms / 1000, UTC).strftime("%F %TZ")
                state = "valid" if key.revoked_ms is None else "revoked"
                grants = " ".join(map(str, key.grants))
                print(f"{key.id:>4}  {key.hint}…  {key.name:<30} {made}  {state:<7}  {grants}")

    asyncio.run(listing())
    return 0


def run_revoke(args: argparse.Namespace) -> int:
    """Revoke; sessions with the key end within seconds."""

    async def revoking() -> str | None:
        async with _catalog() as catalog:
            return await revoke_key(catalog, args.number, utc_ms())

    name = asyncio.run(revoking())
    if name is None:
        raise ConfigError(f"There is no key {args.number}; `vigil key list` shows them.")
    print(f"Revoked key {args.number} ({name}).")
    return 0
