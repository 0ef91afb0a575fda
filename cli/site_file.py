"""`vigil site check`, `inventory`, `apply` and `sheet`: the files that describe sites.

Terraform and Ansible read the same files; `apply` writes to the catalog what concerns it.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.audit_origin import cli_origin, current_user
from cli.config_key import configured_signer
from cli.site_list import register_site
from domain.errors import ConfigError
from domain.site_config import canonical
from domain.site_file import SiteFile, problems_between, warnings_of
from domain.site_file.inventory import inventory
from domain.site_file.sheet import device_of, sheet
from domain.times import utc_ms
from domain.validation_text import explain_all
from edge_bridge.config import read
from stores.catalog import Catalog
from stores.catalog.fleet import set_update_policy
from stores.catalog.site_configs import get_config, set_config
from streams.settings import get_settings
from streams.storage import admin_catalog

EXAMPLE = "ops/sites/example/s0042.yaml"


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `site check`, `site inventory`, `site apply` and `site sheet`."""
    check = verbs.add_parser("check", help="say what is wrong in the files of sites")
    check.add_argument("path", type=Path, nargs="+", help="a file, or a folder of them")
    check.set_defaults(run=run_check)
    listing = verbs.add_parser("inventory", help="print the inventory of Ansible for these sites")
    listing.add_argument("path", type=Path, nargs="+", help="a file, or a folder of them")
    listing.add_argument(
        "--outputs",
        type=Path,
        metavar="FILE",
        help="`terraform output -json` of the root of sites: addresses of the tunnels",
    )
    listing.set_defaults(run=run_inventory)
    applying = verbs.add_parser(
        "apply", help="bring names, time zones, rings and limits of uploads into the catalog"
    )
    applying.add_argument("path", type=Path, nargs="+", help="a file, or a folder of them")
    applying.set_defaults(run=run_apply)
    page = verbs.add_parser("sheet", help="print the technician's page for a site's device (HTML)")
    page.add_argument("path", type=Path, help="the file of the site")
    page.add_argument("--device", metavar="NAME", help="which device, where the site has two")
    page.add_argument("--url", default="", help="address at which devices are answered")
    page.add_argument("--code", default="", help="code from `vigil device code`")
    page.add_argument("--call", default="", help="number that the technician calls at the end")
    page.set_defaults(run=run_sheet)


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob("*.yaml"))
        else:
            found.append(path)
    return found


def read_sites(paths: list[Path]) -> tuple[dict[str, SiteFile], list[str]]:
    """Return the valid files by name, and all that is wrong in or between the files."""
    sites: dict[str, SiteFile] = {}
    problems: list[str] = []
    for path in _files(paths):
        try:
            data = read(path, EXAMPLE)
        except ConfigError as error:
            problems.append(str(error))
            continue
        try:
            sites[path.name] = SiteFile.model_validate(data)
        except ValidationError as error:
            problems += [f"{path.name}: {each}" for each in explain_all(error, SiteFile)]
    return sites, problems + problems_between(sites)


def _valid_sites(paths: list[Path]) -> dict[str, SiteFile] | None:
    """Return the files by name; None where any is wrong, after printing what is."""
    sites, problems = read_sites(paths)
    for problem in problems:
        print(problem, file=sys.stderr)
    return None if problems else sites


def run_check(args: argparse.Namespace) -> int:
    """Print what is wrong and what is unwise; 1 if anything is wrong."""
    sites, problems = read_sites(args.path)
    for problem in problems:
        print(f"wrong   {problem}")
    for name, site in sites.items():
        for warning in warnings_of(site):
            print(f"unwise  {name}: {warning}")
    if not problems:
        print(f"{len(sites)} {'site is' if len(sites) == 1 else 'sites are'} right.")
    return 1 if problems else 0


def run_inventory(args: argparse.Namespace) -> int:
    """Print the inventory as JSON; nothing if a file is wrong."""
    sites = _valid_sites(args.path)
    if sites is None:
        return 1
    tunnels = _tunnels(args.outputs) if args.outputs else {}
    print(json.dumps(inventory(sites.values(), tunnels), indent=2))
    return 0


def run_apply(args: argparse.Namespace) -> int:
    """Write each site to the catalog; nothing if a file is wrong. A second time changes nothing."""
    sites = _valid_sites(args.path)
    if sites is None:
        return 1

    async def applying() -> None:
        async with admin_catalog(get_settings()) as catalog:
            for site in sites.values():
                await register_site(catalog, site.site, site.name or None, site.time_zone)
                await set_update_policy(
                    catalog, site.site, site.ring, site.maintenance, utc_ms(), origin=cli_origin()
                )
                print(f"{site.site}: {await _limit_uploads(catalog, site)}")

    asyncio.run(applying())
    return 0


def run_sheet(args: argparse.Namespace) -> int:
    """Print the sheet; nothing if the file is wrong."""
    sites = _valid_sites([args.path])
    if sites is None:
        return 1
    (site,) = sites.values()
    device = device_of(site, args.device)
    print(sheet(site, device, url=args.url, code=args.code, call=args.call))
    return 0


async def _limit_uploads(catalog: Catalog, site: SiteFile) -> str:
    """Give the site's configuration the limit of its line; say what was done."""
    newest = await get_config(catalog, site.site)
    if newest is None:
        return "has no configuration yet, so no limit of uploads (vigil site config set)."
    document = json.loads(newest.text)
    limits = {"limit_kbit": site.upload_kbit, "time_zone": site.time_zone}
    if limits.items() <= document.get("upload", {}).items():
        return f"stays at version {newest.version}."
    document["upload"] = {**document.get("upload", {}), **limits}
    now_ms = utc_ms()
    made, _ = await set_config(
        catalog,
        site.site,
        canonical(document),
        now_ms=now_ms,
        by=current_user(),
        note=f"limit of uploads from {site.id}.yaml",
        sign=configured_signer(now_ms),
        origin=cli_origin(),
    )
    return f"has version {made.version} now, with at most {site.upload_kbit} kbit/s a device."


def _tunnels(path: Path) -> dict[str, list[str]]:
    """Return the outside addresses of each site's tunnels from Terraform's outputs."""
    try:
        outputs: dict[str, Any] = json.loads(path.read_text())
        tunnels: dict[str, list[str]] = outputs["tunnel_addresses"]["value"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} does not hold the output tunnel_addresses: write it with `terraform output "
            "-json` in the root of sites."
        ) from error
    return tunnels
