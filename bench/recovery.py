"""How long cameras wait after an assembler is killed: to the first event handled, to no lag.

    kill -9 ──► process ──► answers ──► ready ──► first event ──► what waited is committed
       │           imports, Faust   joined, table recovered
       └ started again at once, as a supervisor does; cameras go on at their pace meanwhile

Cases: 1 and 2 workers, few and many cameras of state, tables kept or deleted at the kill.
"""

import argparse
import asyncio
import logging
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench import lag
from bench.stream_load import DURATION_MS, fragments
from bench.workers import Workers
from domain.errors import VigilError
from domain.events import FragmentArrived, encode
from local.folder import DataFolder
from local.ports import Ports
from local.stack import Stack
from streams.settings import Settings, settings
from streams.topic_admin import ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS, changelog

STATE_ROUNDS = 15
"""Fragments of each camera before anything is killed: half a window's."""
ROUNDS = 100_000
WITHIN_S = 180.0
ASK_EVERY_S = 0.02
COMMITTED_WITHIN_S = 1.5
"""No lag: what the log held is committed so soon; a commit comes once a second."""
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
    parser.add_argument("--cameras", type=int, default=1_600, help="of much state (default 1600)")
    parser.add_argument("--few", type=int, default=64, help="of little state (default 64)")
    parser.add_argument(
        "--workers", type=int, choices=(1, 2), action="append", help="only so many (repeatable)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all cases; return seconds by case."""
    before = dict(os.environ)
    cases = [
        Case(workers, cameras, wipe)
        for workers in arguments.workers or (1, 2)
        for cameras, wipe in _states(arguments)
    ]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that were just made
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="vigil-recovery-") as scratch:
        try:
            with Stack(Path(scratch) / "stack", report=_say) as stack:
                os.environ.update(stack.env)
                for number, case in enumerate(cases):
                    os.environ |= {
                        "VIGIL_TOPIC_PREFIX": f"case{number}-",
                        "VIGIL_APP_PREFIX": f"case{number}",
                    }
                    settings.cache_clear()
                    recovery = Recovery(Path(scratch) / str(number), case)
                    found[str(case)] = asyncio.run(recovery.run(arguments.rounds))
                    _say(f"{case}: {found[str(case)]}")
        finally:
            os.environ.clear()
            os.environ.update(before)
            settings.cache_clear()
    head = {"rounds": arguments.rounds, "session_s": Settings().session_timeout_s}
    return head | {"load": round(os.getloadavg()[0], 1)} | found


def _states(arguments: argparse.Namespace) -> list[tuple[int, bool]]:
    return [(arguments.few, False), (arguments.cameras, False), (arguments.cameras, True)]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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
    """The other worker's longest time without an event, meanwhile."""


class Recovery:
    """One case."""

    def __init__(self, folder: Path, case: Case) -> None:
        self._case, self._of = case, Settings()
        self._folder = folder
        self._names = [f"assemble-{number}" for number in range(case.workers)]
        folder.mkdir()
        ports = Ports(DataFolder(folder))
        self._ports = {name: ports.take(name) for name in self._names}

    async def run(self, rounds: int) -> dict[str, Any]:
        """Build the state, kill so often, and return medians and the slowest."""
        spec = changelog(f"{self._of.app_prefix}-assemble", "open-windows")
        await ensure([*TOPICS, spec], of=self._of)
        producer = AIOKafkaProducer(bootstrap_servers=self._of.kafka_brokers, linger_ms=5)
        workers = Workers(self._folder, {}, {"assemble": self._case.workers}, relay=False)
        for name, port in self._ports.items():
            workers.programs[name].set_env("VIGIL_METRICS_PORT", str(port))
        async with producer, workers, _Group(self._of) as group:
            feed = _Feed(producer, self._case.cameras)
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

    async def _kill(self, workers: Workers, group: "_Group") -> Kill:
        others = [_Watched(self._ports[name]) for name in self._names if name != VICTIM]
        for other in others:
            await other.start()
        killed_s = time.monotonic()
        await workers.kill(VICTIM, wipe=self._case.wipe)
        await workers.start(VICTIM)
        watched = _Watched(self._ports[VICTIM])
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


class _Feed:
    """Cameras that send a fragment every two seconds, spread over them."""

    def __init__(self, producer: AIOKafkaProducer, cameras: int) -> None:
        self._producer, self._cameras = producer, cameras
        self._events: Iterator[FragmentArrived] = fragments(cameras, ROUNDS)

    async def state(self) -> None:
        """Send what makes the state, as fast as it goes."""
        for _ in range(STATE_ROUNDS * self._cameras):
            await self._send()
        await self._producer.flush()

    async def live(self) -> None:
        """Go on at the cameras' pace for ever."""
        began_s, sent = time.monotonic(), 0
        while True:
            due = (time.monotonic() - began_s) * 1_000 / DURATION_MS * self._cameras
            while sent < due:
                await self._send()
                sent += 1
            await asyncio.sleep(ASK_EVERY_S)

    async def _send(self) -> None:
        event = next(self._events)
        await self._producer.send(
            FRAGMENT_ARRIVED.full_name, encode(event), key=event.camera.encode()
        )


@dataclass
class _Watched:
    """A worker, asked for its metrics again and again."""

    port: int
    answered_s: float = 0.0
    ready_s: float = 0.0
    first_s: float = 0.0
    cpu_s: float = 0.0
    paused_s: float = 0.0
    first: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._ask())

    async def stop(self) -> None:
        """Ask no more; raises what went wrong."""
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _ask(self) -> None:
        handled, since_s = 0.0, time.monotonic()
        async with aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
                        text = await answer.text()
                    now_s = time.monotonic()
                    self.answered_s = self.answered_s or now_s
                    if _value(text, "vigil_ready"):
                        self.ready_s = self.ready_s or now_s
                    if (now := _value(text, "vigil_events_total")) > handled:
                        if handled:
                            self.paused_s = max(self.paused_s, now_s - since_s)
                        if not self.first.is_set():
                            self.first_s = now_s
                            self.cpu_s = _value(text, "process_cpu_seconds_total")
                            self.first.set()
                        handled, since_s = now, now_s
                await asyncio.sleep(ASK_EVERY_S)


def _value(text: str, name: str) -> float:
    """Return the sum of a metric over its labels."""
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith((f"{name} ", f"{name}{{"))
    )


class _Group:
    """What the assemblers have committed, and where their topic ends."""

    def __init__(self, of: Settings) -> None:
        self._group = f"{of.app_prefix}-assemble"
        self._consumer = AIOKafkaConsumer(bootstrap_servers=of.kafka_brokers)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=of.kafka_brokers)
        self._tps = [TopicPartition(FRAGMENT_ARRIVED.full_name, at) for at in range(of.partitions)]

    async def __aenter__(self) -> "_Group":
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def caught_up(self, since_s: float) -> float:
        """Return the first moment after `since_s` whose log's ends were committed at once."""
        seen: deque[tuple[float, lag.Ends]] = deque()
        while time.monotonic() < since_s + WITHIN_S:
            at_s = time.monotonic()
            seen.append((at_s, dict(await self._consumer.end_offsets(self._tps))))
            committed = await self._committed()
            now_s = time.monotonic()
            while seen and seen[0][0] < now_s - COMMITTED_WITHIN_S:
                seen.popleft()
            for at_s, ends in seen:
                if all(tp in committed and committed[tp] >= end for tp, end in ends.items()):
                    return at_s
            await asyncio.sleep(ASK_EVERY_S * 5)
        raise VigilError(f"{self._group} did not catch up within {WITHIN_S:.0f} s.")

    async def _committed(self) -> lag.Ends:
        try:
            found = await self._admin.list_consumer_group_offsets(self._group)
        except KafkaError:  # the group's coordinator is still being set up
            return {}
        return {tp: metadata.offset for tp, metadata in found.items()}
