"""`vigil edge`: the program that runs at a site."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from edge_bridge.config import load


def add(commands: Any) -> None:
    """Add `edge run` and `edge check`."""
    edge = commands.add_parser("edge", help="record cameras at a site")
    actions = edge.add_subparsers(metavar="ACTION", required=True)
    run = actions.add_parser("run", help="record, upload and look for objects until stopped")
    run.add_argument("--config", type=Path, required=True, help="YAML; see edge.example.yaml")
    run.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    run.set_defaults(run=_run)
    check = actions.add_parser("check", help="try every camera, the disk, the cloud and the model")
    check.add_argument("--config", type=Path, required=True, help="YAML; see edge.example.yaml")
    check.set_defaults(run=_check)


def _run(arguments: argparse.Namespace) -> int:
    from edge_bridge import logs  # noqa: PLC0415 - PyAV and OpenCV are slow to load
    from edge_bridge.edge import Edge  # noqa: PLC0415

    config = load(arguments.config)
    logs.set_up(arguments.log_level)

    async def main() -> None:
        await Edge(config).run()

    asyncio.run(main())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from edge_bridge.check import check, print_table  # noqa: PLC0415 - as above

    findings = asyncio.run(check(load(arguments.config)))
    print_table(findings)
    return 1 if any(finding.state == "bad" for finding in findings) else 0
