"""`vigil bench NAME`: measure, and print the figures last: one JSON line, or some."""

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
    "live": "how far a live picture is behind its camera, what viewers cost, a killed relay",
    "latency": "time from a closed fragment to playable, and from a picture to its detection",
    "fleet": "cost of a fleet of cameras, events only, at the real rate",
    "rollout": "updates of 20 simulated devices, ring by ring, with bad versions in the middle",
    "stream": "events a second through one assembler, Quix Streams and a bare loop",
    "scale": "cost by cameras, 8 -> 64 partitions under load, SlowDown, AWS's quotas",
    "recovery": "time from the kill of an assembler to its first event, and to no lag",
    "restore": "PostgreSQL back in time, Kafka or objects lost: time until playback is right",
    "catalog": "a catalog of years: time and locks of look-ups, and who waits for a day's list",
    "api": "requests a second of the API, compared with a bare handler and the same SQL",
    "flood": "how long one tenant waits while another one floods the same web worker",
    "login": "whether the time of a refused sign-in says if the login exists",
    "join": "how fast fragments are joined, and how much memory a long chunk takes",
    "link": "1,000 devices on link workers: cost, time to an answer, a worker killed",
    "infer": "the inference server's engine, compared with a bare loop; live next to a replay",
    "detect": "pictures a second of local inference, compared with a bare loop; cost of decoding",
    "capture": "cost of recording, compared with one ffmpeg for each camera",
    "sign": "cost of signing a fragment at the edge, and of checking events at the relay",
    "start": "an edge starts with a large backlog: when does it record, with how much memory?",
    "drain": "after an outage: how long does live footage wait while the backlog drains?",
}
"""What is measured, each by a module of bench/."""

VERIFICATIONS = {
    "delivery": "is any event lost or handled twice when workers are killed or replaced?",
    "soak": "do memory, threads or open files of a long-running edge grow?",
    "outage": "network, S3 and SQS fail in turn: is any frame or detection lost or duplicated?",
    "autonomy": "days without VPN: what does the spool keep, what is given up, what comes first?",
    "kill": "kill -9 of the edge at random: is anything lost but the fragment in progress?",
    "upgrade": "the chart's containers are upgraded and rolled back: loss, longest pause",
    "chaos": "all faults at once: is anything lost or duplicated? how long do deployments pause?",
}
"""What is proved by fault injection, each by a package of harness/."""

MODULES = {name: f"bench.{name}" for name in BENCHES} | {
    name: f"harness.{name}.{name}" for name in VERIFICATIONS
}


class Bench(Protocol):
    """The interface of each of these modules."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the bench's own options."""

    def run(self, arguments: argparse.Namespace) -> dict[str, Any] | list[dict[str, Any]]:
        """Measure and return the figures, units in their names; a list: one line for each."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add a command for each bench; they need the packages of the extra `dev`."""
    parser = commands.add_parser("bench", help="measure, or prove by fault injection")
    verbs = parser.add_subparsers(metavar="NAME", required=True, parser_class=_BenchParser)
    for name, what in (BENCHES | VERIFICATIONS).items():
        verbs.add_parser(name, help=what).bench = name


class _BenchParser(argparse.ArgumentParser):
    """Imports its bench when its arguments are parsed: all of them together take seconds."""

    bench = ""
    _is_loaded = False

    def load(self) -> None:
        """Add the bench's options."""
        if not self._is_loaded:
            self._is_loaded = True
            bench = cast(Bench, importlib.import_module(MODULES[self.bench]))
            bench.add_arguments(self)
            self.set_defaults(run=_runner(self.bench, bench))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse after the options are known."""
        self.load()
        return super().parse_known_args(args, namespace)


def _runner(name: str, bench: Bench) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        # As by Ctrl-C: the processes that it started end with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        figures = bench.run(arguments)
        head = {
            "bench": name,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{os.cpu_count()} cores {platform.machine()}",
        }
        for line in figures if isinstance(figures, list) else [figures]:
            print(json.dumps(head | line), flush=True)
        return 0

    return run
