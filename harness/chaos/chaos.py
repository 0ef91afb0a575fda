"""Nothing lost, nothing doubled, whatever happens: synthetic cameras, and everything goes wrong.

    cameras ──PUT──────────────────────────► S3 ◄── faults ── workers
       └──► SQS ──► relay ──► Kafka ──► assemble ×2, heal, join ×2, index ×2 ──► PostgreSQL
       └──────(the rest)───────┘          killed, stalled        stopped and started

At the end every fragment must be in exactly one current chunk, byte for byte. The catalog must
agree, and no lag may remain. docs/benchmarks.md says what was found.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from domain.errors import VigilError
from domain.times import utc_ms
from harness import lag
from harness.chaos import invariants as verdict
from harness.chaos.fault_injector import Breaker
from harness.chaos.fault_plan import Planned, plan
from harness.chaos.pauses import Pauses
from harness.chaos.quiesce import Settling
from harness.chaos.synthetic_cameras import CALM, Chances, SyntheticCamera, Tally
from harness.environment import SHORT_WINDOWS, say, services
from harness.event_feeder import Entrance
from harness.fault_proxy import FaultProxy
from harness.workers import RELAY, Workers
from local.stack import Stack
from stores.catalog import Catalog, add_camera, migrate
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store
from streams.topic_admin import ensure
from streams.topics import TOPICS

TENANT = "chaos"
COUNTS = {"assemble": 2, "heal": 1, "join": 2, "index": 2}
SETTINGS = {**SHORT_WINDOWS, "VIGIL_SESSION_TIMEOUT_S": "6"}
WINDOW_MS = int(SETTINGS["VIGIL_WINDOW_MS"])
SETTLE_S = 120
WARM_WITHIN_S = 180
GIVE_UP_AFTER = 5
"""It waits this many times the allowed time: late and lost are different faults."""
ASK_EVERY_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--minutes", type=float, default=10, help="minutes to run (default 10)")
    parser.add_argument("--cameras", type=int, default=64, help="cameras (default 64)")
    parser.add_argument(
        "--seed", type=int, help="seed of the random faults and times (default: a new one)"
    )
    parser.add_argument(
        "--speed", type=float, default=1, help="speed of the cameras, 1: real time (default 1)"
    )
    parser.add_argument(
        "--every", type=float, default=5, help="seconds between two faults, on average (default 5)"
    )
    parser.add_argument(
        "--wipe-tables", action="store_true", help="delete an assembler's tables at each kill"
    )
    parser.add_argument(
        "--deploy",
        action="store_true",
        help="no faults: replace all workers one after another, measure the longest pause",
    )
    parser.add_argument("--settle", type=float, default=SETTLE_S, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help="folder to keep all data (default: a new one)")


def _quiet() -> None:
    """Let the bench's own clients keep quiet about the outages that it makes."""
    for name in ("aiokafka", "asyncpg", "botocore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the stack, the workers, the cameras and the faults; return what came out."""
    seed = (
        arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 31)
    )
    say(f"seed {seed}")
    _quiet()
    folder = arguments.data or Path(tempfile.mkdtemp(prefix="vigil-chaos-"))
    with services(folder.resolve() / "stack", SETTINGS) as stack:
        figures = asyncio.run(Chaos(stack, folder, arguments, seed).run())
    if arguments.data is None and figures["clean"]:
        shutil.rmtree(folder, ignore_errors=True)
    elif not figures["clean"]:
        say(f"NOT CLEAN. All data and logs are in {folder}; again with --seed {seed}")
    return figures


class _Recording:
    """All cameras at work."""

    def __init__(self, cameras: list[SyntheticCamera]) -> None:
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(camera.record(self._stop)) for camera in cameras]

    async def end(self) -> None:
        """End the cameras' last runs; raises what a camera raised."""
        self._stop.set()
        await asyncio.gather(*self._tasks)


class Chaos:
    """One run. `stack` runs already."""

    def __init__(
        self, stack: Stack, folder: Path, arguments: argparse.Namespace, seed: int
    ) -> None:
        self._stack, self._folder, self._seed = stack, folder, seed
        self._seconds: float = arguments.minutes * 60
        self._wipe: bool = arguments.wipe_tables
        self._deploy: bool = arguments.deploy
        self._every_s: float = arguments.every
        self._settle_s: float = arguments.settle
        self._give_up_s = arguments.settle * GIVE_UP_AFTER
        self._count: int = arguments.cameras
        self._pace_s = 2.0 / arguments.speed
        self._speed: float = arguments.speed
        self._settings = Settings()
        self._tally = Tally()
        self._replaced = 0
        self._pauses: dict[str, float] = {}

    async def run(self) -> dict[str, Any]:
        """Run it all."""
        await migrate(self._settings.database_url.get_secret_value())
        await ensure(TOPICS, settings=self._settings)
        target = urlparse(self._settings.s3_endpoint or "")
        dice = random.Random(f"{self._seed} proxy")
        async with contextlib.AsyncExitStack() as opened:
            enter = opened.enter_async_context
            proxy = await enter(FaultProxy(str(target.hostname), int(target.port or 80), dice))
            store = await enter(make_object_store(self._settings))
            catalog = await enter(Catalog(self._settings.database_url.get_secret_value()))
            entrance = await enter(Entrance(self._settings))
            cameras = [self._camera(number, store, entrance) for number in range(self._count)]
            for camera in cameras:
                await add_camera(catalog, camera.camera, camera.camera, 0, unsigned="accept")
            env = {**SETTINGS, "VIGIL_S3_ENDPOINT": proxy.url}
            workers = await enter(Workers(self._folder, env, COUNTS))
            recording = _Recording(cameras)
            await self._warm(catalog, workers)
            breaker = Breaker(self._stack, workers, proxy, wipe=self._wipe, say=say)
            await self._everything(workers, breaker)
            await recording.end()
            await asyncio.sleep(2 * WINDOW_MS / 1000 / self._speed + 0.5)  # the last late notices
            await entrance.drained()
            say(f"recorded {self._tally}")
            settling = Settling(self._settings, time.monotonic(), self._give_up_s, say)
            runs = [run for camera in cameras for run in camera.runs]
            lag_zero_s = await settling.no_lag(entrance)
            found = await settling.counted(catalog, runs)
            settled_s = settling.took_s
            found.detections_lost = await verdict.detections_lost(
                catalog, TENANT, self._tally.detections
            )
            say(f"settled after {settled_s:.1f} s; reading {found.chunks} chunks")
            await verdict.compared(catalog, store, runs, found)
            fsck = await settling.fsck()
            healed, dead = await settling.topics_say()
        for line in found.messages:
            say(line)
        in_time = lag_zero_s is not None and lag_zero_s <= self._settle_s
        return self._figures(found, workers, entrance, breaker) | {
            "s3_connections_hit": proxy.hit,
            "healed": healed,
            "dead_letters": dead,
            "fsck": fsck,
            "settled_s": settled_s,
            "lag_zero_s": lag_zero_s,
            "lag_zero_in_time": in_time,
            "clean": found.clean and in_time and fsck == "clean",
        }

    def _camera(self, number: int, store: ObjectStore, entrance: Entrance) -> SyntheticCamera:
        now_ms = utc_ms()
        return SyntheticCamera(
            camera=f"{TENANT}/site-{number // 16}/cam-{number:03}",
            dice=random.Random(f"{self._seed} camera {number}"),
            start_ms=now_ms - round(self._seconds * self._speed * 1000) - 3_600_000,
            pace_s=self._pace_s,
            window_s=WINDOW_MS / 1000 / self._speed,
            chances=CALM if self._deploy else Chances(),
            store=store,
            entrance=entrance,
            tally=self._tally,
        )

    async def _warm(self, catalog: Catalog, workers: Workers) -> None:
        """Wait until every stage has done its first work: a chunk is indexed."""
        deadline = time.monotonic() + WARM_WITHIN_S
        while True:
            async with catalog.transaction() as connection:
                if await connection.fetchval("SELECT count(*) FROM chunks"):
                    return
            if time.monotonic() > deadline:
                tails = "\n".join(f"{name}: {workers.tail(name, 5)}" for name in workers.programs)
                raise VigilError(f"No chunk came within {WARM_WITHIN_S} s.\n{tails}")
            await asyncio.sleep(ASK_EVERY_S)

    async def _everything(self, workers: Workers, breaker: Breaker) -> None:
        """Break things for the given time; return once everything runs again."""
        began_s = time.monotonic()
        if self._deploy:
            await self._roll(workers)
        else:
            await breaker.run(self._planned(workers))
        await asyncio.sleep(max(0.0, began_s + self._seconds - time.monotonic()))

    def _planned(self, workers: Workers) -> list[Planned]:
        return plan(
            random.Random(f"{self._seed} plan"),
            self._seconds,
            list(workers.programs),
            every_s=self._every_s,
            session_s=float(SETTINGS["VIGIL_SESSION_TIMEOUT_S"]),
        )

    async def _roll(self, workers: Workers) -> None:
        """Replace all workers, one after another, each once its predecessor's successor works."""
        async with Pauses(self._settings) as pauses:
            await asyncio.sleep(5)
            for name in workers.programs:
                say(f"replacing {name}")
                await workers.replace(name)
                self._replaced += 1
                if name != RELAY:
                    await self._working(name)
            await asyncio.sleep(5)
            self._pauses = pauses.longest()

    async def _working(self, name: str) -> None:
        """Wait until a group has caught up with where its topics ended when asked."""
        kind = name.rsplit("-", 1)[0]
        until = await lag.ends(self._settings, lag.READS[kind])
        deadline = time.monotonic() + 60
        while (await lag.lags(self._settings, until))[kind]:
            if time.monotonic() > deadline:
                raise VigilError(f"{name} does not catch up after it was replaced.")
            await asyncio.sleep(0.5)

    def _figures(
        self,
        found: verdict.Verdict,
        workers: Workers,
        entrance: Entrance,
        breaker: Breaker,
    ) -> dict[str, Any]:
        messages = entrance.by_sqs + entrance.by_kafka
        figures: dict[str, Any] = {
            "seed": self._seed,
            "minutes": self._seconds / 60,
            "cameras": self._count,
            "fragments": self._tally.fragments,
            "runs": self._tally.runs,
            "through_sqs_percent": round(100 * entrance.by_sqs / max(1, messages), 1),
            "kills": breaker.kills,
            "faults": dict(sorted(breaker.done.items())),
            "replaced": self._replaced,
            "tables_wiped": self._wipe,
            "ended_by_themselves": workers.ended_by_themselves,
            "notices": {
                name: getattr(self._tally, name)
                for name in ("lost", "twice", "swapped", "late", "ends_lost", "poison")
            },
            "chunks": found.chunks,
            "revisions": found.revisions,
            "lost": found.lost,
            "doubled": found.doubled,
            "waiting": found.waiting,
            "unknown": found.unknown,
            "gaps": found.gaps,
            "wrong_bytes": found.wrong_bytes,
            "disagreeing": found.disagreeing,
            "detections": self._tally.detections,
            "detections_lost": found.detections_lost,
            "load": round(os.getloadavg()[0], 1),
        }
        return figures | self._pauses
