"""`vigil site check` and `inventory`: the files that describe sites, for Terraform and Ansible."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from domain.errors import ConfigError
from domain.site_file import SiteFile, problems_between, warnings_of
from domain.site_file.inventory import inventory
from domain.validation_text import explain_all
from edge_bridge.config import read

EXAMPLE = "ops/sites/example/s0042.yaml"


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `site check` and `site inventory`."""
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
    sites, problems = read_sites(args.path)
    if problems:
        for problem in problems:
            print(problem, file=sys.stderr)
        return 1
    tunnels = _tunnels(args.outputs) if args.outputs else {}
    print(json.dumps(inventory(sites.values(), tunnels), indent=2))
    return 0


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
