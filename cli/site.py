"""`vigil site`: names and time zones of sites, and the configuration of their edges."""

import argparse
import asyncio
from pathlib import Path

import yaml

from cli import site_file, site_list
from cli.audit_origin import cli_origin, current_user
from cli.config_key import configured_signer
from domain.errors import ConfigError
from domain.identity import check_site
from domain.site_config import SITE_KEYS, SiteVersion, canonical
from domain.times import format_ms, parse_ms, utc_ms
from edge_bridge.config import CloudConfig, EdgeConfig, SpoolConfig, read
from edge_bridge.remote_config.merge import merge
from stores.catalog import Catalog, add_camera, known_cameras
from stores.catalog.site_configs import (
    ConfigSigner,
    EdgeConfigReport,
    config_history,
    edge_config_reports,
    get_config,
    roll_back,
    set_config,
)
from streams.settings import get_settings
from streams.storage import admin_catalog


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `site list`, `site set` and `site config set`, `show`, `history` and `rollback`."""
    site = commands.add_parser("site", help="name sites, and store their configuration")
    site_verbs = site.add_subparsers(metavar="COMMAND", required=True)
    site_list.add(site_verbs)
    site_file.add(site_verbs)
    config = site_verbs.add_parser(
        "config", help="change or show a site's cameras, rules and model"
    )
    verbs = config.add_subparsers(metavar="COMMAND", required=True)
    setting = verbs.add_parser("set", help="store the next version, which the edge then fetches")
    setting.add_argument(
        "--file", type=Path, required=True,
        help="YAML like the edge's own; keys of the device itself are left out",
    )  # fmt: skip
    setting.add_argument(
        "--again", action="store_true", help="store a new version even if nothing has changed"
    )
    setting.add_argument(
        "--above",
        type=int,
        default=0,
        metavar="VERSION",
        help="the new number is higher than this one: after a restore of the catalog",
    )
    signing = verbs.add_parser(
        "sign", help="store the newest version again, signed with VIGIL_CONFIG_KEY_FILE"
    )
    showing = verbs.add_parser("show", help="print a version, and what the edge reports about it")
    showing.add_argument("--version", type=int, help="version to print (default: the newest)")
    listing = verbs.add_parser("history", help="list the versions, newest first")
    listing.add_argument(
        "--limit", type=int, default=20, help="show at most this many versions (default: 20)"
    )
    rollback = verbs.add_parser("rollback", help="store an old version again as the newest")
    rollback.add_argument(
        "--to",
        type=int,
        metavar="VERSION",
        help="version to store again (default: the previous one)",
    )
    for each, run in (
        (setting, run_set), (signing, run_sign), (showing, run_show), (listing, run_history),
        (rollback, run_rollback),
    ):  # fmt: skip
        each.add_argument("site", metavar="TENANT/SITE", type=str)
        each.set_defaults(run=run)
    for each in (setting, signing, rollback):
        each.add_argument(
            "--not-before",
            type=parse_ms,
            metavar="TIME",
            help="devices wait until then, RFC 3339 (default: now); only for signed versions",
        )
        each.add_argument("--note", default="", help="why, for the history")
        each.add_argument(
            "--who", default=current_user(), help="author of the change (default: you)"
        )


def _catalog() -> Catalog:
    return admin_catalog(get_settings())


def _by(args: argparse.Namespace) -> tuple[str, str]:
    """Return who makes the change, and why."""
    who, note = args.who.strip(), args.note.strip()
    if not 1 <= len(who) <= 100 or len(note) > 500:
        raise ConfigError("--who must have 1 to 100 characters, --note at most 500.")
    return who, note


def _signer(args: argparse.Namespace) -> ConfigSigner | None:
    now_ms = utc_ms()
    sign = configured_signer(now_ms if args.not_before is None else args.not_before)
    if sign is None and args.not_before is not None:
        raise ConfigError("--not-before needs a signature: set VIGIL_CONFIG_KEY_FILE.")
    return sign


def document_of(path: Path, site: str) -> tuple[str, EdgeConfig, list[str]]:
    """Return a file's canonical text, the edge's configuration by it, and the keys left out.

    Raises the edge's own ConfigError if it is invalid.
    """
    data = read(path)
    if data.get("site", site) != site:
        raise ConfigError(f"{path} is for the site {data['site']}, not for {site}.")
    left_out = sorted(set(data) & (set(EdgeConfig.model_fields) - set(SITE_KEYS)))
    document = {name: value for name, value in data.items() if name not in left_out}
    own = EdgeConfig.model_construct(
        site=site, edge="edge", central=None, http=None, heartbeat_s=10, cameras=[],
        cloud=CloudConfig(bucket="any", queue_url="https://any"),
        spool=SpoolConfig(dir=Path("spool")),
    )  # fmt: skip
    config = merge(own, document, str(path))
    return canonical(document), config, left_out


def run_set(args: argparse.Namespace) -> int:
    """Store a version; register the cameras that are not in the catalog yet."""
    site = check_site(args.site)
    who, note = _by(args)
    text, config, left_out = document_of(args.file, site)
    if not 0 <= args.above < (1 << 31) - 1:
        raise ConfigError("--above must be a version's number.")
    sign = _signer(args)

    async def setting() -> tuple[SiteVersion, bool, list[str]]:
        async with _catalog() as catalog:
            known = await known_cameras(catalog)
            new = [one for one in config.cameras if config.camera_id(one) not in known]
            for one in new:
                await add_camera(
                    catalog, config.camera_id(one), one.id, utc_ms(), origin=cli_origin(who=who)
                )
            made, changed = await set_config(
                catalog,
                site,
                text,
                now_ms=utc_ms(),
                by=who,
                note=note,
                again=args.again,
                above=args.above,
                sign=sign,
                origin=cli_origin(who=who),
            )
            return made, changed, [one.id for one in new]

    made, changed, new = asyncio.run(setting())
    if left_out:
        print(f"Left out, since they belong in the device's own file: {', '.join(left_out)}.")
    if new:
        print(f"Registered in the catalog: {', '.join(new)}.")
    if changed:
        print(f"{site} has version {made.version} now (cameras: {len(config.cameras)}).")
    else:
        print(f"Nothing has changed: {site} stays at version {made.version}.")
    return 0


def run_sign(args: argparse.Namespace) -> int:
    """Store the newest version again, signed."""
    site = check_site(args.site)
    who, note = _by(args)
    sign = _signer(args)
    if sign is None:
        raise ConfigError("Set VIGIL_CONFIG_KEY_FILE to the file of the configuration key.")

    async def signing() -> SiteVersion:
        async with _catalog() as catalog:
            newest = await get_config(catalog, site)
            if newest is None:
                raise ConfigError(f"{site} has no configuration in the catalog.")
            made, _ = await set_config(
                catalog,
                site,
                newest.text,
                now_ms=utc_ms(),
                by=who,
                note=note or f"version {newest.version}, signed",
                again=True,
                sign=sign,
                origin=cli_origin(who=who),
            )
            return made

    made = asyncio.run(signing())
    print(f"{site} has version {made.version} now, signed.")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show the document as YAML, then a comment line for each edge."""
    site = check_site(args.site)

    async def showing() -> tuple[SiteVersion | None, list[EdgeConfigReport]]:
        async with _catalog() as catalog:
            return await get_config(catalog, site, args.version), await edge_config_reports(
                catalog, site
            )

    found, reports = asyncio.run(showing())
    if found is None:
        which = f"version {args.version}" if args.version else "configuration in the catalog"
        raise ConfigError(f"{site} has no {which}; `vigil site config history` lists what it has.")
    print(f"# {site}, version {found.version}, {found.digest[:12]}")
    print(yaml.safe_dump(found.document(), sort_keys=False, allow_unicode=True), end="")
    for edge in reports:
        print(f"# {edge.edge}, {format_ms(edge.heard_ms)}: {in_words(edge)}")
    return 0


def in_words(report: EdgeConfigReport) -> str:
    """Return what an edge reported about its configuration, as text."""
    if report.state is None:
        return "does not use a stored configuration, or runs an older program"
    version = "its own file" if report.version is None else f"version {report.version}"
    return f"{version}, {report.state}{'. ' if report.detail else ''}{report.detail or ''}"


def run_history(args: argparse.Namespace) -> int:
    """List; one line each: version, digest, time, author, note."""
    site = check_site(args.site)
    if not 1 <= args.limit <= 10_000:
        raise ConfigError("--limit must be 1 to 10000.")

    async def listing() -> None:
        async with _catalog() as catalog:
            for one in await config_history(catalog, site, args.limit):
                print(
                    f"{one.version:>5}  {one.digest[:12]}  {format_ms(one.set_ms)}  "
                    f"{one.set_by:<20}  {'signed' if one.signed_by else '-':<6}  {one.note}"
                )

    asyncio.run(listing())
    return 0


def run_rollback(args: argparse.Namespace) -> int:
    """Roll back; prints the new version."""
    site = check_site(args.site)
    who, note = _by(args)
    sign = _signer(args)

    async def rollback() -> SiteVersion:
        async with _catalog() as catalog:
            return await roll_back(
                catalog,
                site,
                args.to,
                now_ms=utc_ms(),
                by=who,
                note=note,
                sign=sign,
                origin=cli_origin(who=who),
            )

    made = asyncio.run(rollback())
    print(f"{site} has version {made.version} now.")
    return 0
