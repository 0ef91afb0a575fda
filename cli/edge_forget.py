"""`vigil edge forget`: remove devices that are out of use from the cloud's list."""

import argparse
import asyncio
from typing import Any

from cli.audit_origin import cli_origin
from domain.errors import ConfigError
from domain.times import utc_ms

DAY_MS = 86_400_000


def add(actions: Any) -> None:
    """Add `edge forget`."""
    forget = actions.add_parser(
        "forget", help="in the cloud: remove devices that are out of use from the list"
    )
    forget.add_argument("site", metavar="TENANT/SITE", nargs="?", help="the device's site")
    forget.add_argument("edge", metavar="EDGE", nargs="?", help="the device's name")
    forget.add_argument(
        "--silent-days", type=float, metavar="DAYS",
        help="instead of one device: all that have sent no heartbeat for so many days",
    )  # fmt: skip
    forget.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    one = args.site is not None and args.edge is not None
    if one == (args.silent_days is not None) or (args.site is None) != (args.edge is None):
        raise ConfigError("Name a site and a device, or use --silent-days.")
    if args.silent_days is not None and args.silent_days <= 0:
        raise ConfigError("--silent-days must be above 0.")
    forgotten = asyncio.run(_forget(args))
    if one and not forgotten:
        raise ConfigError(f"{args.site} has no device {args.edge}.")
    for site, edge in forgotten:
        print(f"Forgot {edge} of {site}. A heartbeat adds it again.")
    if not forgotten:
        print("No device has been silent for so long.")
    return 0


async def _forget(args: argparse.Namespace) -> list[tuple[str, str]]:
    # Not at the top: an edge device has no PostgreSQL client.
    from stores.catalog.edges import forget_edge, forget_silent_edges  # noqa: PLC0415
    from streams.settings import get_settings  # noqa: PLC0415
    from streams.storage import admin_catalog  # noqa: PLC0415

    async with admin_catalog(get_settings()) as catalog:
        if args.silent_days is not None:
            before_ms = utc_ms() - round(args.silent_days * DAY_MS)
            return await forget_silent_edges(catalog, before_ms, utc_ms(), origin=cli_origin())
        found = await forget_edge(catalog, args.site, args.edge, utc_ms(), origin=cli_origin())
        return [(args.site, args.edge)] if found else []
