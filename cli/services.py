"""`vigil services`: start, stop and list Kafka, SQS, PostgreSQL and S3 on this machine."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from local import background
from local.folder import default_data_dir


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the group's parser."""
    group = commands.add_parser("services", help="start, stop and list the local services")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)

    start = verbs.add_parser("start", help="start the services in the background")
    add_data(start)
    start.add_argument("--fresh", action="store_true", help="delete the data first")
    start.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="a service's port (kafka, sqs, postgres, s3), instead of a free one",
    )
    start.set_defaults(run=_start)

    stop = verbs.add_parser("stop", help="stop the services, or the demo, of the data folder")
    add_data(stop)
    stop.set_defaults(run=_stop)

    status = verbs.add_parser("status", help="list the services; exits 1 if one is down")
    add_data(status)
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the data folder."""
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data_dir(),
        metavar="DIR",
        help="the data folder (default: VIGIL_DATA_DIR, else .vigil)",
    )


def _start(given: argparse.Namespace) -> None:
    background.start(given.data, fresh=given.fresh, ports=given.port, report=print)
    print(f"The settings for programs are in {given.data / 'vigil.env'}.")


def _stop(given: argparse.Namespace) -> None:
    stopped = background.stop(given.data)
    print("All services have stopped." if stopped else "No services were running.")


def _status(given: argparse.Namespace) -> int:
    states = background.status(given.data)
    if given.json:
        print(json.dumps([asdict(state) for state in states]))
    else:
        for state in states:
            what = f"runs on port {state.port} (process {state.pid})" if state.pid else "is down"
            print(f"{state.title} {what}")
    return 0 if all(state.pid for state in states) else 1
