"""`vigil edge enrol`: give this device its identity, by a one-time code."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from domain.errors import ConfigError
from domain.times import format_ms, utc_ms
from domain.unset_clock import plainly_wrong
from edge_bridge.config import load


def add(actions: Any) -> None:
    """Add `edge enrol`."""
    enrol = actions.add_parser("enrol", help="give this device its identity by a one-time code")
    enrol.add_argument(
        "--config", type=Path, required=True, help="configuration (YAML) of this device"
    )
    code = enrol.add_mutually_exclusive_group(required=True)
    code.add_argument("--code", help="code from `vigil device code` or the page of sites")
    code.add_argument(
        "--code-file", type=Path, metavar="FILE", help="file that holds the code, for scripts"
    )
    enrol.add_argument(
        "--url", required=True, help="address at which devices are answered: https://HOST[:PORT]"
    )
    enrol.add_argument(
        "--ca-file",
        type=Path,
        help="PEM file of the authority of that address; default: central.ca_file, else the "
        "system's authorities",
    )
    enrol.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Enrol; prints who this device is now."""
    from edge_bridge.identity.enrol import (  # noqa: PLC0415 - only this command needs them
        check_url,
        clock_warning,
        device_id,
        enrol,
    )
    from edge_bridge.identity.server import DeviceServer  # noqa: PLC0415

    config = load(arguments.config)
    url = check_url(arguments.url)
    device = device_id(config.site, config.edge)
    ca_file = arguments.ca_file or (config.central.ca_file if config.central else None)
    code = arguments.code or _read_code(arguments.code_file)
    if plainly_wrong(utc_ms()):
        wrong = asyncio.run(DeviceServer(url).clock_problem())
        if wrong is not None:
            raise ConfigError(f"{wrong[:1].upper()}{wrong[1:]} Then enrol again.")
    certificate = asyncio.run(enrol(config.identity_folder, device, url, code, ca_file))
    print(
        f"{device} is enrolled. Its certificate, generation {certificate.generation}, ends at "
        f"{format_ms(certificate.not_after_ms)[:16]}Z and is renewed by itself. A running edge "
        "uses it within seconds."
    )
    if (warning := clock_warning(certificate, utc_ms())) is not None:
        print(f"Warning: {warning}")
    return 0


def _read_code(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--code-file {file} cannot be read: {error}.") from None
