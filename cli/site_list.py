"""`vigil site list`, `set` and `unsigned`: names and time zones of sites, and unsigned events."""

import argparse
import asyncio
from dataclasses import replace
from typing import get_args

from cli.audit_origin import cli_origin
from domain.access import INSTALLATION
from domain.audit import AuditEntry
from domain.device_identity import UnsignedPolicy
from domain.display_text import check_name
from domain.errors import ConfigError
from domain.identity import check_site
from domain.times import utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.catalog.tenants import RegisteredSite, create_site, list_sites, lock_site, update_site
from stores.time_zones import UTC, check_zone
from streams.settings import get_settings
from streams.storage import admin_catalog

PAGE = 1_000


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `site list`, `site set` and `site unsigned`."""
    listing = verbs.add_parser("list", help="list the sites, their names and time zones")
    listing.set_defaults(run=run_list)
    setting = verbs.add_parser("set", help="add a site, or change its name and time zone")
    setting.add_argument("site", metavar="TENANT/SITE")
    setting.add_argument("--name", help="name shown to people (default: the id's last part)")
    setting.add_argument(
        "--zone", help="IANA time zone in which its times are shown, such as Europe/Berlin"
    )
    setting.set_defaults(run=run_set)
    policy = verbs.add_parser(
        "unsigned", help="choose what is done with a site's events that no device signed"
    )
    policy.add_argument("site", metavar="TENANT/SITE")
    policy.add_argument(
        "policy",
        choices=get_args(UnsignedPolicy),
        help="accept; warn: accept, count and log; refuse: to the dead letters",
    )
    policy.set_defaults(run=run_unsigned)


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def run_list(_args: argparse.Namespace) -> int:
    """List; one line each: id, zone, what is done with unsigned events, name."""

    async def listing() -> None:
        async with _catalog() as catalog:
            page = await list_sites(catalog, [INSTALLATION], limit=PAGE)
            while page:
                for site in page:
                    print(f"{site.id:<50} {site.zone:<25} {site.unsigned:<7} {site.name}")
                page = await list_sites(catalog, [INSTALLATION], after=page[-1].id, limit=PAGE)

    asyncio.run(listing())
    return 0


def _entry(action: str, before: RegisteredSite | None, after: RegisteredSite) -> AuditEntry:
    return cli_origin().entry(
        utc_ms(),
        action,
        after.id,
        before=None if before is None else before.audited(),
        after=after.audited(),
    )


def run_set(args: argparse.Namespace) -> int:
    """Add or change; prints the result."""
    site = check_site(args.site)
    name = None if args.name is None else check_name(args.name)
    zone = None if args.zone is None else check_zone(args.zone)

    async def setting() -> RegisteredSite:
        async with _catalog() as catalog:
            return await register_site(catalog, site, name, zone)

    stored = asyncio.run(setting())
    print(f"{stored.id} ({stored.name}) has the time zone {stored.zone}.")
    return 0


async def register_site(
    catalog: Catalog, site: str, name: str | None, zone: str | None
) -> RegisteredSite:
    """Add a site, or change its name and time zone where they differ. StoreError."""
    async with catalog.transaction() as connection:
        before = await lock_site(connection, site)
        if before is None:
            own_name = name or site.rsplit("/", 1)[1]
            made = await create_site(connection, site, own_name, zone or UTC, utc_ms())
            assert made is not None
            await write_audit(connection, _entry("site:create", None, made))
            return made
        after = replace(before, name=name or before.name, zone=zone or before.zone)
        if after != before:
            await update_site(connection, after)
            await write_audit(connection, _entry("site:update", before, after))
        return after


def run_unsigned(args: argparse.Namespace) -> int:
    """Choose; prints what follows."""
    site = check_site(args.site)

    async def choose() -> None:
        async with _catalog() as catalog, catalog.transaction() as connection:
            before = await lock_site(connection, site)
            if before is None:
                raise ConfigError(f"There is no site {site}: `vigil site list` shows all.")
            after = replace(before, unsigned=args.policy)
            await update_site(connection, after)
            await write_audit(connection, _entry("site:update", before, after))

    asyncio.run(choose())
    print(f"{site}: {_MEANING[args.policy]} This holds within 5 s.")
    return 0


_MEANING: dict[UnsignedPolicy, str] = {
    "accept": "events that no device signed are accepted.",
    "warn": "events that no device signed are accepted, counted and logged.",
    "refuse": "events that no device signed go to the dead letters (`vigil dlq list`).",
}
