"""Is anything lost when workers are killed, replaced, come and go? Statistics over many rounds.

    one-of-two   one of two workers is killed and started again
    only-one     the only worker is killed twice
    rolling      two workers are replaced one after the other
    three        a third joins, the first is killed for good, a new one joins

Each round has topics and a group of its own. Lost is what no worker handled, holes what the table
says was missing, twice what was handled again.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from domain.errors import VigilError
from domain.events import encode
from harness import lag
from harness.environment import own_services, say
from harness.fragment_load import fragments
from local.folder import DataFolder
from local.program import Program, worker
from streams.settings import Settings, get_settings
from streams.topic_admin import ensure
from streams.topics import FRAGMENT_ARRIVED, TOPICS, TopicSpec, changelog

CAMERAS = 100
EACH = 200
PAUSE_S = 0.05
WITHIN_S = 180
GROUP = "counting"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each case (default 5)")
    parser.add_argument(
        "--seed", type=int, help="seed of the times when workers are killed (default: a new one)"
    )
    parser.add_argument(
        "--case", choices=sorted(CASES), action="append", help="only this case (repeatable)"
    )
    parser.add_argument(
        "--store",
        choices=("rocksdb", "memory"),
        action="append",
        help="only this table store (repeatable)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all rounds; return counts by case and store."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    found: dict[str, Any] = {}
    with own_services("delivery") as (_, scratch):
        for store in arguments.store or ("rocksdb", "memory"):
            for case in arguments.case or sorted(CASES):
                rounds = [
                    _round(scratch, f"{case}-{store}-{at}", case, store, seed + at)
                    for at in range(arguments.rounds)
                ]
                found[f"{case} {store}"] = _summed(rounds)
                say(f"{case} {store}: {found[f'{case} {store}']}")
    return {"seed": seed, "load": round(os.getloadavg()[0], 1), **found}


def _summed(rounds: list[dict[str, float]]) -> dict[str, Any]:
    names = ("events", "lost", "holes", "jumps", "lag", "twice")
    figures: dict[str, Any] = {name: sum(int(each[name]) for each in rounds) for name in names}
    figures["rounds"] = len(rounds)
    resumed = [each["resumed_s"] for each in rounds]
    figures["resumed_s_median"] = round(statistics.median(resumed), 1)
    figures["resumed_s_max"] = round(max(resumed), 1)
    return figures


def _round(scratch: Path, name: str, case: str, store: str, seed: int) -> dict[str, float]:
    os.environ |= {
        "VIGIL_TOPIC_PREFIX": f"{name}-",
        "VIGIL_APP_PREFIX": name,
        "VIGIL_PARTITIONS": "4",
        "VIGIL_SESSION_TIMEOUT_S": "6",
        "VIGIL_TABLE_STORE": store,
        "VIGIL_DATA_DIR": str(scratch / name),
        "VIGIL_BENCH_LOG": str(scratch / f"{name}.handled"),
    }
    get_settings.cache_clear()
    return asyncio.run(Round(scratch / name, Path(os.environ["VIGIL_BENCH_LOG"]), seed).run(case))


class Round:
    """One round: topics, workers, a feed."""

    def __init__(self, folder: Path, log: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self._settings = Settings()
        self._log = log
        log.touch()
        self._data = DataFolder(folder)
        self._data.open(fresh=False)
        self._programs: dict[str, Program] = {}
        self.resumed_s: list[float] = []
        self._changelog = changelog(f"{self._settings.app_prefix}-{GROUP}", "counts")

    async def run(self, case: str) -> dict[str, float]:
        """Feed, break, wait until all is handled, and count."""
        await ensure([*TOPICS, self._changelog], settings=self._settings)
        feeding: asyncio.Task[None] | None = None
        try:
            await self.start("one")
            if case != "only-one":
                await self.start("two")
            feeding = asyncio.create_task(self._feed())
            await self.until(500)
            await CASES[case](self)
            await feeding
            await self._drained()
            return await self._found()
        finally:
            if feeding is not None:
                feeding.cancel()
            for program in self._programs.values():
                await asyncio.to_thread(program.process.kill)
            self._data.close()

    async def start(self, name: str) -> None:
        """Start a worker, or start it again."""
        if name not in self._programs:
            env = {**os.environ, "VIGIL_WORKER_INSTANCE": name}
            self._programs[name] = Program(
                name, worker("harness.delivery.counting_worker"), self._data, env
            )
        await asyncio.to_thread(self._programs[name].launch)

    async def kill(self, name: str) -> None:
        """kill -9."""
        await asyncio.to_thread(self._programs[name].process.kill)

    async def stop(self, name: str) -> None:
        """SIGTERM, and wait."""
        await asyncio.to_thread(self._programs[name].process.stop)

    async def resumes(self) -> None:
        """Note how long it takes until a further event of every camera is handled."""
        began_s, before = time.monotonic(), self._counts()
        while len([camera for camera in before if self._counts()[camera] > before[camera]]) < len(
            before
        ):
            if time.monotonic() - began_s > WITHIN_S:
                raise VigilError(f"not handled any more: {self._tails()}")
            if sum(self._counts().values()) >= CAMERAS * EACH:
                break
            await asyncio.sleep(0.1)
        self.resumed_s.append(time.monotonic() - began_s)

    async def until(self, more: int) -> None:
        """Wait until so many more events are handled."""
        wanted = min(sum(self._counts().values()) + more, CAMERAS * EACH)
        deadline = time.monotonic() + WITHIN_S
        while sum(self._counts().values()) < wanted:
            if time.monotonic() > deadline:
                raise VigilError(f"{wanted} events were not handled: {self._tails()}")
            await asyncio.sleep(0.1)

    def _counts(self) -> Counter[str]:
        return Counter(line.split(" ", 1)[0] for line in self._log.read_text().splitlines())

    def _tails(self) -> str:
        return "\n".join(program.process.tail(5) for program in self._programs.values())

    async def _feed(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka_brokers, linger_ms=5)
        async with producer:
            for at, event in enumerate(fragments(CAMERAS, EACH)):
                await producer.send(
                    FRAGMENT_ARRIVED.full_name, encode(event), key=event.key.encode()
                )
                if at % CAMERAS == 0:
                    await asyncio.sleep(PAUSE_S)

    async def _drained(self) -> None:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if len(set(self._log.read_text().splitlines())) >= CAMERAS * EACH:
                break
            await asyncio.sleep(0.5)
        while await self._lag():
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.5)

    async def _lag(self) -> int:
        return await lag.of_group(
            self._settings, f"{self._settings.app_prefix}-{GROUP}", FRAGMENT_ARRIVED
        )

    async def _found(self) -> dict[str, float]:
        lines = self._log.read_text().splitlines()
        table = await self._table(self._changelog)
        logs = [
            program.process.log.read_text(errors="replace") for program in self._programs.values()
        ]
        return {
            "events": CAMERAS * EACH,
            "lost": CAMERAS * EACH - len(set(lines)),
            "holes": sum(holes for _, holes in table.values())
            + sum(EACH - following for following, _ in table.values()),
            "jumps": sum(text.count("jumped from") for text in logs),
            "lag": await self._lag(),
            "twice": len(lines) - len(set(lines)),
            "resumed_s": max(self.resumed_s, default=0.0),
        }

    async def _table(self, spec: TopicSpec) -> dict[bytes, tuple[int, int]]:
        until = await lag.ends(self._settings, [spec])
        table: dict[bytes, tuple[int, int]] = {}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers, auto_offset_reset="earliest"
        )
        async with consumer:
            consumer.assign(list(until))
            while any([await consumer.position(tp) < end for tp, end in until.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        following, holes = json.loads(record.value)
                        table[record.key] = following, holes
        return table


async def _one_of_two(round_: Round) -> None:
    await round_.until(round_.dice.randrange(500, 3_000))
    victim = round_.dice.choice(("one", "two"))
    await round_.kill(victim)
    await round_.start(victim)
    await round_.resumes()


async def _only_one(round_: Round) -> None:
    for _ in range(2):
        await round_.until(round_.dice.randrange(500, 3_000))
        await round_.kill("one")
        await round_.start("one")
        await round_.resumes()


async def _rolling(round_: Round) -> None:
    for name in ("one", "two"):
        await round_.until(round_.dice.randrange(500, 2_000))
        await round_.stop(name)
        await round_.start(name)
        await round_.resumes()


async def _three(round_: Round) -> None:
    await round_.start("three")
    await round_.until(round_.dice.randrange(1_000, 3_000))
    await round_.kill("one")
    await round_.resumes()
    await round_.start("four")
    await round_.until(round_.dice.randrange(500, 2_000))
    await round_.resumes()


CASES: dict[str, Callable[[Round], Awaitable[None]]] = {
    "one-of-two": _one_of_two,
    "only-one": _only_one,
    "rolling": _rolling,
    "three": _three,
}
