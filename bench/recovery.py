"""How long cameras wait after an assembler is killed: to the first event handled, to no lag.

    kill -9 ──► process ──► answers ──► ready ──► first event ──► what waited is committed
       │           imports, Faust   joined, table recovered
       └ started again at once, as a supervisor does; cameras go on at their pace

Cases: 1 and 2 workers, few and many cameras of state, tables kept or deleted at the kill.
"""

import argparse
import asyncio
import logging
import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.recovery_watch import WITHIN_S, Feed, Group, Watched
from domain.errors import VigilError
from harness.environment import own_services, say
from harness.workers import Workers
from local.folder import DataFolder
from local.ports import Ports
from streams.settings import Settings, get_settings
from streams.topic_admin import ensure
from streams.topics import TOPICS, changelog

VICTIM = "assemble-0"


@dataclass(frozen=True)
class Case:
    """What is killed."""

    workers: int
    cameras: int
    wipe: bool = False

    def __str__(self) -> str:
        wiped = "_wiped" if self.wipe else ""
        return f"{self.workers}_workers_{self.cameras}_cameras{wiped}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--rounds", type=int, default=3, help="kills of each case (default 3)")
    parser.add_argument(
        "--cameras", type=int, default=1_600, help="cameras of the large state (default 1600)"
    )
    parser.add_argument(
        "--few", type=int, default=64, help="cameras of the small state (default 64)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=(1, 2),
        action="append",
        help="only this many workers (repeatable)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all cases; return seconds by case."""
    cases = [
        Case(workers, cameras, wipe)
        for workers in arguments.workers or (1, 2)
        for cameras, wipe in _states(arguments)
    ]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that were just made
    found: dict[str, Any] = {}
    with own_services("recovery") as (_, scratch):
        for number, case in enumerate(cases):
            os.environ |= {
                "VIGIL_TOPIC_PREFIX": f"case{number}-",
                "VIGIL_APP_PREFIX": f"case{number}",
            }
            get_settings.cache_clear()
            recovery = Recovery(scratch / str(number), case)
            found[str(case)] = asyncio.run(recovery.run(arguments.rounds))
            say(f"{case}: {found[str(case)]}")
    head = {"rounds": arguments.rounds, "session_s": Settings().session_timeout_s}
    return head | {"load": round(os.getloadavg()[0], 1)} | found


def _states(arguments: argparse.Namespace) -> list[tuple[int, bool]]:
    return [(arguments.few, False), (arguments.cameras, False), (arguments.cameras, True)]


@dataclass
class Kill:
    """Seconds from one kill."""

    answers_s: float = 0.0
    """Until the process answers: imported, its client started."""
    ready_s: float = 0.0
    """Until it says that it handles events: joined, its table recovered."""
    first_event_s: float = 0.0
    no_lag_s: float = 0.0
    cpu_s: float = 0.0
    """CPU that the process had used by its first event: says more where others use the machine."""
    other_paused_s: float | None = None
    """The other worker's longest time without an event during this."""


class Recovery:
    """One case."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._case = case
        self._settings = Settings()
        self._folder = folder
        self._names = [f"assemble-{number}" for number in range(case.workers)]
        folder.mkdir()
        ports = Ports(DataFolder(folder))
        self._ports = {name: ports.take(name) for name in self._names}

    async def run(self, rounds: int) -> dict[str, Any]:
        """Build the state, kill so often, and return medians and the slowest."""
        spec = changelog(f"{self._settings.app_prefix}-assemble", "open-windows")
        await ensure([*TOPICS, spec], settings=self._settings)
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka_brokers, linger_ms=5)
        workers = Workers(self._folder, {}, {"assemble": self._case.workers}, relay=False)
        for name, port in self._ports.items():
            workers.programs[name].set_env("VIGIL_METRICS_PORT", str(port))
        async with producer, workers, Group(self._settings) as group:
            feed = Feed(producer, self._case.cameras)
            await feed.state()
            feeding = asyncio.create_task(feed.live())
            try:
                await group.caught_up(time.monotonic())
                kills = [await self._kill(workers, group) for _ in range(rounds)]
            finally:
                feeding.cancel()
                with suppress(asyncio.CancelledError):
                    await feeding
        return _summed(kills)

    async def _kill(self, workers: Workers, group: Group) -> Kill:
        others = [Watched(self._ports[name]) for name in self._names if name != VICTIM]
        for other in others:
            await other.start()
        killed_s = time.monotonic()
        await workers.kill(VICTIM, wipe=self._case.wipe)
        await workers.start(VICTIM)
        watched = Watched(self._ports[VICTIM])
        await watched.start()
        kill = Kill()
        try:
            async with asyncio.timeout(WITHIN_S):
                no_lag = asyncio.create_task(group.caught_up(killed_s))
                await watched.first.wait()
                kill.no_lag_s = max(await no_lag, watched.first_s) - killed_s
        except TimeoutError:
            raise VigilError(f"no event was handled:\n{workers.tail(VICTIM)}") from None
        finally:
            for each in (watched, *others):
                await each.stop()
        kill.answers_s = watched.answered_s - killed_s
        kill.ready_s = watched.ready_s - killed_s
        kill.first_event_s = watched.first_s - killed_s
        kill.cpu_s = watched.cpu_s
        if others:
            kill.other_paused_s = max(other.paused_s for other in others)
        return kill


def _summed(kills: list[Kill]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in ("answers_s", "ready_s", "first_event_s", "no_lag_s", "cpu_s", "other_paused_s"):
        values = [value for each in kills if (value := getattr(each, name)) is not None]
        if values:
            figures[name] = round(statistics.median(values), 2)
            figures[f"{name}_max"] = round(max(values), 2)
    return figures
