"""`vigil hold`: suspend the deletion of footage, and lift it again."""

import argparse
import asyncio

from cli.retention import current_user
from domain.errors import ConfigError
from domain.retention import LegalHold, check_scope
from domain.times import format_ms, parse_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.retention_rules import add_hold, lift_hold, list_holds
from streams.settings import get_settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `hold add`, `hold list` and `hold lift`."""
    parser = commands.add_parser("hold", help="suspend the deletion of footage")
    verbs = parser.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add", help="hold footage of a camera, a site or a tenant")
    adding.add_argument("scope", help="tenant/site/camera, tenant/site or tenant")
    adding.add_argument("--from", dest="from_", required=True, metavar="T", help="from when on")
    adding.add_argument("--to", metavar="T", help="up to when (without it: without end)")
    adding.add_argument("--why", required=True, help="the reason, such as the case's number")
    adding.add_argument("--who", default=current_user(), help="who orders it (default: you)")
    adding.set_defaults(run=run_add)
    listing = verbs.add_parser("list", help="list the holds that stand")
    listing.add_argument("--all", action="store_true", help="the lifted ones too")
    listing.set_defaults(run=run_list)
    lifting = verbs.add_parser("lift", help="let deletion go on")
    lifting.add_argument(
        "number", type=int, help="the hold's number, as `vigil hold list` shows it"
    )
    lifting.add_argument("--who", default=current_user(), help="who lifts it (default: you)")
    lifting.set_defaults(run=run_lift)


def _catalog() -> Catalog:
    return Catalog(get_settings().database_url.get_secret_value(), size=1)


def run_add(args: argparse.Namespace) -> int:
    """Add; once it returns, nothing of what is held will be deleted."""
    if not 1 <= len(args.why.strip()) <= 500 or not 1 <= len(args.who.strip()) <= 100:
        raise ConfigError("--why has 1 to 500 characters, --who 1 to 100.")
    to_ms = parse_ms(args.to) if args.to else None
    hold = LegalHold(check_scope(args.scope), parse_ms(args.from_), to_ms)
    if to_ms is not None and to_ms <= hold.from_ms:
        raise ConfigError("--from must be before --to.")

    async def adding() -> tuple[int, int]:
        async with _catalog() as catalog:
            return await add_hold(catalog, hold, args.who.strip(), args.why.strip(), utc_ms())

    number, under_way = asyncio.run(adding())
    print(f"Hold {number} stands on {hold.scope}.")
    if under_way:
        print(
            f"{under_way} deletions in its range were decided before: what of their objects still "
            "stands now stays, but is no longer in the catalog."
        )
    print(
        "If the bucket expires footage by a lifecycle, print it anew with `vigil retention "
        "lifecycle` and apply it: S3 does not know of holds."
    )
    return 0


def run_list(args: argparse.Namespace) -> int:
    """List; one line each."""

    async def listing() -> None:
        async with _catalog() as catalog:
            for known in await list_holds(catalog, lifted=args.all):
                hold = known.hold
                to = format_ms(hold.to_ms) if hold.to_ms is not None else "without end"
                state = f"since {format_ms(known.added_ms)} by {known.added_by}"
                if known.lifted_ms is not None:
                    state += f", lifted {format_ms(known.lifted_ms)} by {known.lifted_by}"
                print(f"{known.id:>4}  {hold.scope}  {format_ms(hold.from_ms)} to {to}  {state}: "
                      f"{known.why}")  # fmt: skip

    asyncio.run(listing())
    return 0


def run_lift(args: argparse.Namespace) -> int:
    """Lift; the next pass of retention may delete."""

    async def lifting() -> str | None:
        async with _catalog() as catalog:
            return await lift_hold(catalog, args.number, args.who.strip(), utc_ms())

    scope = asyncio.run(lifting())
    if scope is None:
        raise ConfigError(f"No hold {args.number} stands; `vigil hold list` shows them.")
    print(f"Lifted hold {args.number} on {scope}.")
    return 0
