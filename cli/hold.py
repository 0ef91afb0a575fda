"""`vigil hold`: add, list and lift legal holds, which suspend the deletion of footage."""

import argparse
import asyncio

from cli.audit_origin import cli_origin, current_user
from domain.display_text import check_reason
from domain.errors import ConfigError
from domain.retention import LegalHold, check_scope
from domain.times import format_ms, parse_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.retention_rules import add_hold, lift_hold, list_holds
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `hold add`, `hold list` and `hold lift`."""
    parser = commands.add_parser("hold", help="suspend the deletion of footage")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add_parser = verbs.add_parser("add", help="suspend deletion for a camera, a site or a tenant")
    add_parser.add_argument("scope", help="tenant/site/camera, tenant/site or tenant")
    add_parser.add_argument(
        "--from",
        dest="from_",
        required=True,
        metavar="T",
        help="start of the footage to keep (RFC 3339)",
    )
    add_parser.add_argument(
        "--to", metavar="T", help="end of the footage to keep (default: no end)"
    )
    add_parser.add_argument("--why", required=True, help="the reason, such as a case number")
    add_parser.add_argument("--who", default=current_user(), help="who orders it (default: you)")
    add_parser.set_defaults(run=run_add)
    list_parser = verbs.add_parser("list", help="list the current holds")
    list_parser.add_argument("--all", action="store_true", help="include lifted holds")
    list_parser.set_defaults(run=run_list)
    lift_parser = verbs.add_parser(
        "lift", help="lift a hold: retention may delete its footage again"
    )
    lift_parser.add_argument("number", type=int, help="the hold's number in `vigil hold list`")
    lift_parser.add_argument("--who", default=current_user(), help="who lifts it (default: you)")
    lift_parser.add_argument("--why", help="the reason, for the record")
    lift_parser.set_defaults(run=run_lift)


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def run_add(args: argparse.Namespace) -> int:
    """Add a hold. When it returns, retention deletes nothing that the hold covers."""
    if not 1 <= len(args.why.strip()) <= 500 or not 1 <= len(args.who.strip()) <= 100:
        raise ConfigError("--why has 1 to 500 characters, --who 1 to 100.")
    to_ms = parse_ms(args.to) if args.to else None
    hold = LegalHold(check_scope(args.scope), parse_ms(args.from_), to_ms)
    if to_ms is not None and to_ms <= hold.from_ms:
        raise ConfigError("--from must be before --to.")

    async def add_it() -> tuple[int, int]:
        async with _catalog() as catalog:
            who, why = args.who.strip(), args.why.strip()
            return await add_hold(catalog, hold, who, why, utc_ms(), origin=cli_origin(who=who))

    number, pending = asyncio.run(add_it())
    print(f"Added hold {number} on {hold.scope}.")
    if pending:
        print(
            f"{pending} deletions in its range were already decided. Their remaining objects are "
            "kept in S3, but they are no longer in the catalog."
        )
    print(
        "S3 does not know holds. Check the bucket's lifecycle with `vigil retention lifecycle "
        "--check`. If it is unsafe, print it again and apply it."
    )
    return 0


def run_list(args: argparse.Namespace) -> int:
    """List holds, one line each."""

    async def list_them() -> None:
        async with _catalog() as catalog:
            for known in await list_holds(catalog, lifted=args.all):
                hold = known.hold
                to = format_ms(hold.to_ms) if hold.to_ms is not None else "no end"
                state = f"since {format_ms(known.added_ms)} by {known.added_by}"
                if known.lifted_ms is not None:
                    why = f" ({known.lifted_why})" if known.lifted_why else ""
                    state += f", lifted {format_ms(known.lifted_ms)} by {known.lifted_by}{why}"
                print(f"{known.id:>4}  {hold.scope}  {format_ms(hold.from_ms)} to {to}  {state}: "
                      f"{known.why}")  # fmt: skip

    asyncio.run(list_them())
    return 0


def run_lift(args: argparse.Namespace) -> int:
    """Lift a hold. The next retention pass may delete its footage."""

    why = None if args.why is None else check_reason(args.why)

    async def lift_it() -> str | None:
        async with _catalog() as catalog:
            who = args.who.strip()
            origin = cli_origin(who=who)
            return await lift_hold(catalog, args.number, who, utc_ms(), why, origin=origin)

    scope = asyncio.run(lift_it())
    if scope is None:
        raise ConfigError(f"There is no hold {args.number}; `vigil hold list` shows all.")
    print(f"Lifted hold {args.number} on {scope}.")
    return 0
