"""How much of this machine a fleet of cameras costs: events only, at their real rate.

    --sites × --cameras-per-site cameras, each a fragment every 2 s, a detection batch a second and
    a chunk a minute (which is never joined: there are no bytes)
        └──► Kafka ──► assembler ──► chunk-due
                  └──► indexer ──► PostgreSQL

The relay is benched apart. First the real rate for `--minutes`; then ever more until lag grows.
What the feeder itself costs is printed and not counted.
"""

import argparse
import asyncio
import os
import time
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaProducer

from bench.fleet_feed import Feeder
from domain.errors import VigilError
from harness import lag
from harness.cpu_cost import cpu_s
from harness.environment import own_services, say
from harness.workers import Workers
from local.stack import Stack
from stores.catalog import Catalog, add_camera, migrate
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import TOPICS

LOOK_EVERY_S = 5.0
RAMP_STEP_S = 30.0
RAMP_FACTOR = 1.5
RAMP_STEPS = 8
WARM_S = 30.0
GROWS_S = 4.0
"""Seconds of events that the lag may rise above what it was: commits come once a second."""
KINDS = ("assemble", "index")
SERVERS = ("kafka", "postgres")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--sites", type=int, default=50, help="sites (default 50)")
    parser.add_argument(
        "--cameras-per-site", type=int, default=32, help="cameras of each site (default 32)"
    )
    parser.add_argument(
        "--minutes", type=float, default=3, help="minutes at the real rate (default 3)"
    )
    parser.add_argument(
        "--ramp",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="then raise the rate until lag grows (the default)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run stack, workers and feeder; measure."""
    with own_services("fleet") as (stack, scratch):
        fleet = Fleet(stack, scratch, arguments)
        return asyncio.run(fleet.run(arguments.minutes * 60, ramp=arguments.ramp))


class Fleet:
    """One run. `stack` runs already."""

    def __init__(self, stack: Stack, folder: Path, arguments: argparse.Namespace) -> None:
        self._stack, self._folder = stack, folder
        self._cameras = [
            f"bench/site-{site}/cam-{number}"
            for site in range(arguments.sites)
            for number in range(arguments.cameras_per_site)
        ]
        self._settings = Settings()

    async def run(self, seconds: float, *, ramp: bool) -> dict[str, Any]:
        """Warm up, measure at the real rate, then ramp."""
        await migrate(self._settings.database_url.get_secret_value())
        await ensure(TOPICS, settings=self._settings)
        async with Catalog(self._settings.database_url.get_secret_value()) as catalog:
            for camera in self._cameras:
                await add_camera(catalog, camera, camera, 0, unsigned="accept")
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.kafka_brokers, linger_ms=20)
        counts = dict.fromkeys(KINDS, 1)
        async with producer, Workers(self._folder, {}, counts, relay=False) as workers:
            feeder = Feeder(self._cameras, producer)
            feeding = asyncio.create_task(feeder.feed())
            try:
                await asyncio.sleep(WARM_S)
                figures = await self._real(feeder, workers, seconds)
                if ramp and not figures["lag_grows"]:
                    figures |= await self._ramp(feeder, figures["events_per_s"])
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        return figures | {
            "workers_ended": sum(workers.ended_by_themselves.values()),
            "load": round(os.getloadavg()[0], 1),
        }

    async def _real(self, feeder: Feeder, workers: Workers, seconds: float) -> dict[str, Any]:
        pids = {kind: _running(workers, f"{kind}-0") for kind in KINDS}
        for name in SERVERS:
            pid = self._stack.services[name].process.pid
            assert pid is not None
            pids[name] = pid
        cpu = {name: cpu_s(pid) for name, pid in pids.items()}
        own = cpu_s(os.getpid(), tree=False)
        kafka_bytes, sent = self._kafka_bytes(), feeder.sent
        began_s = time.monotonic()
        lags: list[tuple[float, int]] = []
        while time.monotonic() < began_s + seconds:
            await asyncio.sleep(LOOK_EVERY_S)
            found = await lag.lags(self._settings)
            lags.append((time.monotonic() - began_s, sum(found[kind] for kind in KINDS)))
            say(f"lag {found['assemble']} + {found['index']}, feeder late {feeder.late_s:.1f} s")
        took_s = time.monotonic() - began_s
        for kind in KINDS:
            if workers.pid(f"{kind}-0") != pids[kind]:
                raise VigilError(f"{kind} ended too early:\n{workers.tail(f'{kind}-0')}")
        hours = len(self._cameras) * took_s / 3600
        spent = {name: cpu_s(pid) - cpu[name] for name, pid in pids.items()}
        of_workers = sum(spent[kind] for kind in KINDS)
        rss = {kind: psutil.Process(pids[kind]).memory_info().rss for kind in KINDS}
        per_s = (feeder.sent - sent) / took_s
        growth = slope(lags)
        return {
            "cameras": len(self._cameras),
            "seconds": round(took_s),
            "events_per_s": round(per_s),
            "lag_mean_s": round(sum(each for _, each in lags) / len(lags) / per_s, 1),
            "lag_last_s": round(lags[-1][1] / per_s, 1),
            "lag_growth_events_per_s": round(growth, 1),
            "lag_grows": growth * took_s > GROWS_S * per_s,
            "cpu_s_per_camera_hour": round(of_workers / hours, 2),
            "cpu_s_per_camera_hour_by": {
                name: round(value / hours, 2) for name, value in spent.items()
            },
            "cameras_per_core": round(len(self._cameras) * took_s / of_workers),
            "cameras_per_core_with_servers": round(
                len(self._cameras) * took_s / sum(spent.values())
            ),
            "memory_kib_per_camera": round(sum(rss.values()) / 1024 / len(self._cameras), 1),
            "memory_mib_by": {kind: round(value / (1 << 20)) for kind, value in rss.items()},
            "kafka_kib_per_camera_hour": round((self._kafka_bytes() - kafka_bytes) / 1024 / hours),
            "feeder_cpu_percent": round(100 * (cpu_s(os.getpid(), tree=False) - own) / took_s),
            "feeder_late_s": round(feeder.late_s, 1),
        }

    async def _ramp(self, feeder: Feeder, held: float) -> dict[str, Any]:
        """Raise the rate until the lag rises through a whole step; return the last one held."""
        for _ in range(RAMP_STEPS):
            feeder.rate *= RAMP_FACTOR
            before, sent, began_s = await self._lag(), feeder.sent, time.monotonic()
            await asyncio.sleep(RAMP_STEP_S)
            rate = (feeder.sent - sent) / (time.monotonic() - began_s)
            after = await self._lag()
            say(f"{rate:.0f} events/s: lag {before} -> {after}, late {feeder.late_s:.1f} s")
            if feeder.late_s > 1:
                return {"held_events_per_s": round(held), "feeder_limit_events_per_s": round(rate)}
            if after - before > GROWS_S * rate:
                return {"held_events_per_s": round(held), "lag_grows_at_events_per_s": round(rate)}
            held = rate
        return {"held_events_per_s": round(held)}

    async def _lag(self) -> int:
        found = await lag.lags(self._settings)
        return sum(found[kind] for kind in KINDS)

    def _kafka_bytes(self) -> int:
        """Return the size of all the broker's logs: changelogs and offsets too, one replica."""
        folder = self._stack.services["kafka"].home / "log"
        return sum(file.stat().st_size for file in folder.glob("*/*.log"))


def _running(workers: Workers, name: str) -> int:
    pid = workers.pid(name)
    if pid is None:
        raise VigilError(f"{name} does not run:\n{workers.tail(name)}")
    return pid


def slope(points: list[tuple[float, int]]) -> float:
    """Return how much the second of each pair grows as the first grows by one: least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if not spread:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
