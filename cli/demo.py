"""`vigil demo`: everything on this machine, from cameras to the page."""

import argparse
import contextlib
from pathlib import Path

from cli.services import add_data
from domain.errors import ConfigError
from local import demo
from local.ports import parse_ports

MOST_CAMERAS = 64


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = commands.add_parser("demo", help="run everything on this machine")
    add_data(parser)
    parser.add_argument("--cameras", type=int, default=4, help="how many cameras (default 4)")
    parser.add_argument("--fresh", action="store_true", help="wipe the data folder first")
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="[NAME=]NUMBER",
        help="the page's port, or NAME's (web, edge-page, kafka, sqs, postgres, s3, cameras)",
    )
    parser.add_argument(
        "--ready-file",
        type=Path,
        metavar="FILE",
        help="write address, API key and camera ids there as JSON once the page answers",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> None:
    if not 1 <= given.cameras <= MOST_CAMERAS:
        raise ConfigError(f"--cameras {given.cameras}: there can be 1 to {MOST_CAMERAS}.")
    ports = parse_ports([port if "=" in port else f"web={port}" for port in given.port])

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed must not hinder stopping
            print(line, flush=True)

    demo.run(
        given.data,
        cameras=given.cameras,
        ports=ports,
        fresh=given.fresh,
        ready_file=given.ready_file,
        report=say,
    )
