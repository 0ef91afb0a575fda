"""`vigil edge`: the program that runs at a site."""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import edge_enrol, edge_forget, edge_given_up, edge_update
from domain.errors import ConfigError
from edge_bridge.config import CameraConfig, load

if TYPE_CHECKING:
    from edge_bridge.discovery.soap import Login


def add(commands: Any) -> None:
    """Add `vigil edge` and its commands."""
    edge = commands.add_parser("edge", help="record cameras at a site")
    actions = edge.add_subparsers(metavar="COMMAND", required=True)
    run = actions.add_parser("run", help="record, upload and detect objects until stopped")
    run.add_argument(
        "--config", type=Path, required=True, help="configuration (YAML); see edge.example.yaml"
    )
    run.add_argument(
        "--log-level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="lowest level to log (default INFO)",
    )
    run.set_defaults(run=_run)
    check = actions.add_parser("check", help="test every camera, the disk, the cloud and the model")
    check.add_argument(
        "--config", type=Path, required=True, help="configuration (YAML); see edge.example.yaml"
    )
    check.set_defaults(run=_check)
    health = actions.add_parser(
        "health", help="show the health of the running edge; exits 0 if healthy"
    )
    health.add_argument(
        "--config", type=Path, required=True, help="the configuration of the running edge"
    )
    health.set_defaults(run=_health)
    edge_enrol.add(actions)
    edge_given_up.add(actions)
    edge_forget.add(actions)
    edge_update.add(actions)
    _add_discover(actions)


def _add_discover(actions: Any) -> None:
    discover = actions.add_parser(
        "discover", help="find ONVIF cameras and write a draft configuration"
    )
    discover.add_argument(
        "--interface", metavar="ADDRESS", help="this device's IPv4 address on the camera network"
    )
    discover.add_argument(
        "--device", metavar="ADDRESS", action="append", default=[],
        help="ask this device instead of searching: host, host:port or URL; may be repeated",
    )  # fmt: skip
    discover.add_argument(
        "--timeout", type=_seconds, default=4.0, metavar="S", help="seconds to search (default 4)"
    )
    discover.add_argument("--username", help="user of the cameras")
    password = discover.add_mutually_exclusive_group()
    password.add_argument(
        "--password-env", metavar="NAME", help="environment variable that holds their password"
    )
    password.add_argument("--password-file", type=Path, help="file that holds their password")
    discover.add_argument("--site", default="acme/berlin", help="tenant/site, for the draft")
    discover.add_argument("--edge", default="edge-1", help="this device's name, for the draft")
    discover.add_argument(
        "--out",
        type=Path,
        default=Path("edge.draft.yaml"),
        help="file to write (default: edge.draft.yaml)",
    )
    discover.set_defaults(run=_discover)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 60:
        raise argparse.ArgumentTypeError("must be 0.1 to 60 seconds")
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    # Until the edge handles the signal itself. The first process of a container has no default
    # action for it: without this, a stop would wait for its timeout and then kill the edge.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the spool survives a kill at any time
    from edge_bridge import logs  # noqa: PLC0415 - PyAV and OpenCV are slow to load
    from edge_bridge.edge import Edge  # noqa: PLC0415

    config = load(arguments.config)
    logs.set_up(arguments.log_level)
    os.umask(0o027)  # spool and kept configuration are not for every user of the device

    async def main() -> None:
        await Edge(config).run()

    asyncio.run(main())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from edge_bridge.check import check, print_table  # noqa: PLC0415 - as above

    findings = asyncio.run(check(load(arguments.config)))
    print_table(findings)
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def _health(arguments: argparse.Namespace) -> int:
    from edge_bridge.health_client import fetch_health  # noqa: PLC0415 - only this command needs it

    state = fetch_health(load(arguments.config).http)
    for line in state.lines:
        print(line)
    return 0 if state.healthy else 1


def _discover(arguments: argparse.Namespace) -> int:
    from edge_bridge.discovery.discover import (  # noqa: PLC0415 - only this command needs it
        DiscoveryRequest,
        discover,
        print_table,
        write_draft,
    )
    from edge_bridge.discovery.draft import Secrets, cameras_of  # noqa: PLC0415 - as above

    if arguments.out.exists():
        raise ConfigError(f"{arguments.out} already exists: choose another name with --out.")
    secrets = Secrets(
        arguments.username,
        arguments.password_env,
        str(arguments.password_file.resolve()) if arguments.password_file else None,
    )
    wanted = DiscoveryRequest(arguments.interface, tuple(arguments.device), arguments.timeout)
    devices = asyncio.run(discover(wanted, _login(arguments)))
    if not devices:
        raise ConfigError(
            "no ONVIF device answered. Set --interface to this device's address on the camera "
            "network, enable ONVIF in the cameras, or name them with --device."
        )
    found = cameras_of(devices)
    print_table(devices, found)
    if not found:
        raise ConfigError("no device reports a stream: see the table. Nothing was written.")
    write_draft(arguments.out, found, arguments.site, arguments.edge, secrets)
    print(f"{arguments.out} written (cameras: {len(found)}).")
    print("Correct the head of the file, then run `vigil edge check`.")
    return 0


def _login(arguments: argparse.Namespace) -> "Login | None":
    from edge_bridge.discovery.soap import Login  # noqa: PLC0415 - as above

    if bool(arguments.username) != bool(arguments.password_env or arguments.password_file):
        raise ConfigError("use --username together with --password-env or --password-file.")
    asked = CameraConfig(
        id="discover",
        url="rtsp://discover",
        username=arguments.username or None,
        password_env=arguments.password_env,
        password_file=arguments.password_file,
    )
    password = asked.password()
    if asked.username is None or password is None:
        return None
    return Login(asked.username, password)
