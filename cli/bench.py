"""`vigil bench NAME`: measure, and print the figures as one JSON line, last."""

import argparse
import importlib
import json
import os
import platform
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol, cast

# Each module has `add_arguments(parser)` and `run(arguments) -> figures`.
BENCHES = {
    "latency": "from a closed fragment to playable, from a picture shown to its detection",
    "fleet": "what a fleet of cameras costs, events only, at its real rate",
    "stream": "events a second through one assembler, of Quix Streams and of a bare loop",
    "recovery": "from the kill of an assembler to its first event, and to no lag",
    "join": "how fast fragments become chunks, and how much memory a long one takes",
    "detect": "pictures a second of local inference, against a bare loop; what decoding costs",
    "capture": "what recording costs, against one ffmpeg for each camera",
    "start": "an edge starts with a large backlog: how long until it records, in how much memory?",
    "drain": "an outage is over: how long does live footage wait while the backlog drains?",
}
"""What is measured, each by a module of bench/."""

VERIFICATIONS = {
    "delivery": "what is lost or handled twice when workers are killed, replaced, come and go",
    "soak": "does a long-running edge keep its memory, threads and open files?",
    "outage": "the line, S3 and SQS fail in turn: is any frame or detection lost, or doubled?",
    "kill": "kill -9 of the edge at random moments: is anything lost but what was being written?",
    "chaos": "everything goes wrong: is anything lost, doubled? how long do deployments pause?",
}
"""What is proved by breaking things, each by a room of harness/."""

MODULES = {name: f"bench.{name}" for name in BENCHES} | {
    name: f"harness.{name}.{name}" for name in VERIFICATIONS
}


class Bench(Protocol):
    """What each of these modules has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the bench's own options."""

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Measure and return the figures, units in their names."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add a command for each bench; its module is imported with its extras when it is named."""
    parser = commands.add_parser("bench", help="measure, or prove by breaking things")
    verbs = parser.add_subparsers(metavar="NAME", required=True)
    for name, what in (BENCHES | VERIFICATIONS).items():
        bench = cast(Bench, importlib.import_module(MODULES[name]))
        verb = verbs.add_parser(name, help=what)
        bench.add_arguments(verb)
        verb.set_defaults(run=_runner(name, bench))


def _runner(name: str, bench: Bench) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        # Ended like by Ctrl-C: what it started ends with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        figures = bench.run(arguments)
        head = {
            "bench": name,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores {platform.machine()}",
        }
        print(json.dumps(head | figures), flush=True)
        return 0

    return run
