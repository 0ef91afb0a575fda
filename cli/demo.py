"""`vigil demo`: everything on this machine, from cameras to the page."""

import argparse
import contextlib
from pathlib import Path

from cli.services import add_data
from domain.errors import ConfigError
from local import demo
from local.demo_cameras import DemoCameras
from local.ports import parse_ports

MAX_CAMERAS = 64


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command's parser."""
    parser = commands.add_parser("demo", help="run everything on this machine")
    add_data(parser)
    parser.add_argument("--cameras", type=int, default=4, help="how many cameras (default 4)")
    parser.add_argument(
        "--numbered",
        action="store_true",
        help="each picture carries its number; sent-CAMERA.log in the data folder says when it "
        "left the camera",
    )
    parser.add_argument("--fresh", action="store_true", help="delete the data first")
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
        help="when the page answers, write its address, login, password, API key and camera ids "
        "to FILE as JSON",
    )
    parser.set_defaults(run=_run)


def _run(given: argparse.Namespace) -> None:
    if not 1 <= given.cameras <= MAX_CAMERAS:
        raise ConfigError(f"--cameras {given.cameras}: write a number from 1 to {MAX_CAMERAS}.")
    ports = parse_ports([port if "=" in port else f"web={port}" for port in given.port])

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # a closed terminal must not prevent the stop
            print(line, flush=True)

    demo.run(
        given.data,
        cameras=DemoCameras(given.cameras, numbered=given.numbered),
        ports=ports,
        fresh=given.fresh,
        ready_file=given.ready_file,
        report=say,
    )
