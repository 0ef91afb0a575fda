"""8 -> 64 partitions while fragments come: what is lost or decided twice, how long is the pause?

feed          ────────────────────────────────────────────────────► fragment-arrived
assemblers    ─────────────────┤ stopped          started ├─────────► chunk-due
vigil topics grow  ├ prepares ─┤ grows ─────────┤
                               └────── the pause ─────────┘
"""

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaProducer

from bench.fleet_feed import Feeder
from bench.recovery_watch import Group
from domain.errors import VigilError
from domain.events import ChunkDue, parse
from harness import lag
from harness.environment import environment, own_services, say
from harness.workers import Workers
from streams.settings import Settings
from streams.topic_admin import ensure
from streams.topics import CHUNK_DUE, FRAGMENT_ARRIVED, TOPICS, changelog

BEFORE, AFTER = 8, 64
ASSEMBLERS = 2
RATE_PER_CAMERA_S = 5
"""Fragments of 2 s: ten times as fast as a camera."""
WARM_S = 15.0
THEN_S = 20.0


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Grow once under load."""
    with own_services("scale") as (_, scratch), environment({"VIGIL_PARTITIONS": str(BEFORE)}):
        return [asyncio.run(_run(scratch, arguments.growth_cameras))]


async def _run(folder: Path, count: int) -> dict[str, Any]:
    cameras = [f"bench/site-{number // 32}/cam-{number}" for number in range(count)]
    settings = Settings()
    table = changelog(f"{settings.app_prefix}-assemble", "open-windows")
    await ensure([*TOPICS, table], settings=settings)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_brokers, linger_ms=5) as producer:
        feed = _SteadyFeed(Feeder(cameras, producer))
        feeding = asyncio.create_task(feed.run())
        try:
            async with Workers(folder, _own(BEFORE), {"assemble": ASSEMBLERS}, relay=False):
                await _decided(settings, 1)
                await asyncio.sleep(WARM_S)
                growth = await _Command.prepared()
                stopped_s = time.monotonic()
            workers_s = time.monotonic() - stopped_s
            await growth.finish()
            growth_s = time.monotonic() - stopped_s
            settings = settings.model_copy(update={"partitions": AFTER})
            before = await _due_count(settings)
            async with Workers(folder, _own(AFTER), {"assemble": ASSEMBLERS}, relay=False) as after:
                await _decided(settings, before + 1)
                pause_s = time.monotonic() - stopped_s
                say(f"decided again after {pause_s:.1f} s")
                async with Group(settings) as group:
                    caught_up_s = await group.caught_up(time.monotonic()) - stopped_s
                    await asyncio.sleep(THEN_S)
                    feeding.cancel()
                    await asyncio.gather(feeding, return_exceptions=True)
                    await producer.flush()
                    await group.caught_up(time.monotonic())
                ended = sum(after.ended_by_themselves.values())
        finally:
            feeding.cancel()
    return {
        "cameras": count, "from": BEFORE, "to": AFTER, "fragments": feed.sent,
        **await _verdict(settings, feed),
        "pause_s": round(pause_s, 1), "workers_stopped_s": round(workers_s, 1),
        "grown_s": round(growth_s, 1),
        "caught_up_s": round(caught_up_s, 1), "workers_ended": ended,
        "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _own(partitions: int) -> dict[str, str]:
    return {"VIGIL_PARTITIONS": str(partitions)}


class _SteadyFeed:
    """Sends the fragments of all cameras, evenly."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder
        self.seqs = Counter[str]()
        self.sent = 0

    async def run(self) -> None:
        """Send until cancelled."""
        cameras = self._feeder.cameras
        due_s = time.monotonic()
        while True:
            for number, camera in enumerate(cameras):
                self._feeder._seqs[number] = self.seqs[camera]
                await self._feeder.producer.send(
                    FRAGMENT_ARRIVED.full_name,
                    self._feeder.fragment_of(number),
                    key=camera.encode(),
                )
                self.seqs[camera] += 1
                self.sent += 1
            due_s += 1 / RATE_PER_CAMERA_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


class _Command:
    """`vigil topics grow`, started while the workers run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def prepared(cls) -> Self:
        """Start it; return once it asks to stop the workers."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "topics", "grow", "--partitions", str(AFTER)),
            cwd=Path(__file__).parents[1],
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        say((await process.stdout.readline()).decode().rstrip())
        return cls(process)

    async def finish(self) -> None:
        """Return once it has ended."""
        output, _ = await self._process.communicate()
        say(output.decode().rstrip())
        if self._process.returncode:
            raise VigilError("vigil topics grow failed; see its messages above.")


async def _due_count(settings: Settings) -> int:
    return sum((await lag.ends(settings, [CHUNK_DUE])).values())


async def _decided(settings: Settings, count: int) -> None:
    """Return once `count` chunks are due in all."""
    while await _due_count(settings) < count:  # noqa: ASYNC110 - it waits for the broker
        await asyncio.sleep(0.1)


async def _verdict(settings: Settings, feed: _SteadyFeed) -> dict[str, int]:
    """Return what the decisions lack, up to each camera's last window, and what is in two."""
    found: dict[str, Counter[int]] = {}
    proved = chunks = 0
    async for value in lag.read(settings, CHUNK_DUE):
        event = parse(value)
        assert isinstance(event, ChunkDue)
        chunks += 1
        proved += event.reason == "complete"
        found.setdefault(event.camera, Counter()).update(each.seq for each in event.fragments)
    lost = doubled = 0
    for camera in feed.seqs:
        seqs = found.get(camera, Counter())
        lost += sum(seq not in seqs for seq in range(max(seqs, default=feed.seqs[camera])))
        doubled += sum(times > 1 for times in seqs.values())
    return {"chunks": chunks, "proved": proved, "lost": lost, "doubled": doubled}
