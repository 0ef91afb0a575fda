"""How much of this machine a fleet of cameras costs: events only, at their real rate.

    --sites × --cameras-per-site cameras, each a fragment every 2 s and a detection batch a second
        └──► Kafka ──► assembler ──► (chunk-due, nobody joins: there are no bytes)
                  └──► indexer ──► PostgreSQL

The relay is benched apart. First the real rate for `--minutes`; then, with --ramp, ever more until
lag grows. What the feeder itself costs is told and not counted.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaProducer

from bench import lag
from bench.workers import Workers
from domain.errors import VigilError
from domain.events import Detection, FragmentArrived, encode, parse
from domain.events.detections import DetectionFrame, FoundObject
from domain.identity import new_run_id
from local.stack import Stack
from stores.catalog import Catalog, add_camera, migrate
from streams.settings import Settings, settings
from streams.topic_admin import ensure
from streams.topics import DETECTION, FRAGMENT_ARRIVED, TOPICS

FRAGMENT_S = 2.0
OBJECTS = 2
STEP_S = 0.1
LOOK_EVERY_S = 5.0
RAMP_STEP_S = 30.0
RAMP_FACTOR = 1.5
RAMP_STEPS = 8
WARM_S = 20.0
GROWS = 4.0
"""Seconds of events that the lag may rise above what it was: commits come once a second."""
WORKERS = {"assemble": 1, "index": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--sites", type=int, default=50, help="sites (default 50)")
    parser.add_argument("--cameras-per-site", type=int, default=32, help="cameras (default 32)")
    parser.add_argument("--minutes", type=float, default=3, help="at the real rate (default 3)")
    parser.add_argument("--ramp", action="store_true", help="then raise the rate until lag grows")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run stack, workers and feeder; measure."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="vigil-fleet-") as scratch:
        try:
            with Stack(Path(scratch) / "stack", report=_say) as stack:
                os.environ.update(stack.env)
                settings.cache_clear()
                fleet = Fleet(stack, Path(scratch), arguments)
                return asyncio.run(fleet.run(arguments.minutes * 60, ramp=arguments.ramp))
        finally:
            os.environ.clear()
            os.environ.update(before)
            settings.cache_clear()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass
class Feeder:
    """Sends what the cameras would; each has its own place in the two seconds.

    Events are made from one that is valid, by replacing what differs: cheap enough to leave the
    machine to the workers.
    """

    cameras: list[str]
    producer: AIOKafkaProducer
    rate: float = 1.0
    """Times real time."""
    sent: int = 0
    late_s: float = 0.0
    _clock: float = 0.0
    _seqs: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._start_ms = now_ms - 3_600_000
        self._runs = [
            new_run_id(self._start_ms, number.to_bytes(10, "big"))
            for number in range(len(self.cameras))
        ]
        self._seqs = [0] * len(self.cameras)
        self._fragment, self._detection = _templates()
        parse(self._fragment_of(0))
        parse(self._detection_of(0, 0))

    def _fragment_of(self, number: int) -> bytes:
        seq = self._seqs[number]
        start_ms = self._start_ms + round(seq * FRAGMENT_S * 1000)
        return self._fragment % (
            self.cameras[number].encode(), self._runs[number].encode(), seq, start_ms,
            seq * 180_000, start_ms, start_ms + 2_000,
        )  # fmt: skip

    def _detection_of(self, number: int, half: int) -> bytes:
        at = self._seqs[number] * 2_000 + half * 1_000
        return self._detection % (
            self.cameras[number].encode(), self._runs[number].encode(), at * 90, self._start_ms + at
        )  # fmt: skip

    async def feed(self) -> None:
        """Feed for ever."""
        began_s = time.monotonic()
        slots = round(FRAGMENT_S / STEP_S)
        step = 0
        due_s = 0.0
        while True:
            for half in (0, 1):
                for number in range((step + half * slots // 2) % slots, len(self.cameras), slots):
                    await self._send(number, half)
            step += 1
            due_s += STEP_S / self.rate
            pause_s = began_s + due_s - time.monotonic()
            self.late_s = max(0.0, -pause_s)
            await asyncio.sleep(max(0.0, pause_s))

    async def _send(self, number: int, half: int) -> None:
        key = self.cameras[number].encode()
        await self.producer.send(DETECTION.full_name, self._detection_of(number, half), key=key)
        self.sent += 1
        if half == 0:
            await self.producer.send(FRAGMENT_ARRIVED.full_name, self._fragment_of(number), key=key)
            self.sent += 1
        else:
            self._seqs[number] += 1


def _templates() -> tuple[bytes, bytes]:
    """Return a fragment and a detection in which what differs is left open."""
    camera, run = "bench/site-0/cam-0", new_run_id(1_790_000_000_001, bytes(10))
    fragment = FragmentArrived(
        camera=camera, run=run, seq=11_111, start_ms=22_222, duration_ms=2_000, start_pts=33_333,
        arrived_ms=44_444, closed_ms=55_555, frames=50, size_bytes=1_003_920, sha256="ab" * 32,
        video_codec="h264", width=1_920, height=1_080,
    )  # fmt: skip
    frame = DetectionFrame(
        pts=66_666,
        at_ms=77_777,
        objects=[
            FoundObject(label="person", score=0.9, box=(0.1, 0.2, 0.1, 0.3), track=f"t-{at}")
            for at in range(OBJECTS)
        ],
    )
    detection = Detection(camera=camera, run=run, model="people", model_version="1", frames=[frame])
    made = []
    for event, numbers in ((fragment, (11_111, 22_222, 33_333, 44_444, 55_555)),
                           (detection, (66_666, 77_777))):  # fmt: skip
        text = encode(event).replace(camera.encode(), b"%s").replace(run.encode(), b"%s")
        for number in numbers:
            text = text.replace(str(number).encode(), b"%d")
        made.append(text)
    return made[0], made[1]


class Fleet:
    """One run. `stack` runs already."""

    def __init__(self, stack: Stack, folder: Path, arguments: argparse.Namespace) -> None:
        self._stack, self._folder = stack, folder
        self._cameras = [
            f"bench/site-{site}/cam-{number}"
            for site in range(arguments.sites)
            for number in range(arguments.cameras_per_site)
        ]
        self._of = Settings()

    async def run(self, seconds: float, *, ramp: bool) -> dict[str, Any]:
        """Warm up, measure at the real rate, then ramp."""
        await migrate(self._of.database_url.get_secret_value())
        await ensure(TOPICS, of=self._of)
        async with Catalog(self._of.database_url.get_secret_value()) as catalog:
            for camera in self._cameras:
                await add_camera(catalog, camera, camera, 0)
        producer = AIOKafkaProducer(bootstrap_servers=self._of.kafka_brokers, linger_ms=20)
        async with producer, Workers(self._folder, {}, WORKERS, relay=False) as workers:
            feeder = Feeder(self._cameras, producer)
            feeding = asyncio.create_task(feeder.feed())
            try:
                await asyncio.sleep(WARM_S)
                figures = await self._real(feeder, workers, seconds)
                if ramp:
                    figures |= await self._ramp(feeder)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        return figures | {"load": round(os.getloadavg()[0], 1)}

    async def _real(self, feeder: Feeder, workers: Workers, seconds: float) -> dict[str, Any]:
        names = ["assemble-0", "index-0"]
        processes = {name: psutil.Process(_running(workers, name)) for name in names}
        cpu = {name: _cpu_s(process) for name, process in processes.items()}
        own = _cpu_s(psutil.Process())
        kafka_bytes, sent = self._kafka_bytes(), feeder.sent
        began_s = time.monotonic()
        lags = []
        while time.monotonic() < began_s + seconds:
            await asyncio.sleep(LOOK_EVERY_S)
            found = await lag.lags(self._of)
            lags.append(found["assemble"] + found["index"])
            _say(f"lag {found['assemble']} + {found['index']}, feeder late {feeder.late_s:.1f} s")
        took_s = time.monotonic() - began_s
        hours = len(self._cameras) * took_s / 3600
        spent = {name: _cpu_s(processes[name]) - cpu[name] for name in names}
        rss = {name: processes[name].memory_info().rss for name in names}
        per_s = (feeder.sent - sent) / took_s
        half = len(lags) // 2
        return {
            "cameras": len(self._cameras),
            "seconds": round(took_s),
            "events_per_s": round(per_s),
            "lag_first_half": round(sum(lags[:half]) / max(1, half)),
            "lag_second_half": round(sum(lags[half:]) / max(1, len(lags) - half)),
            "lag_last": lags[-1],
            "cpu_s_per_camera_hour": round(sum(spent.values()) / hours, 2),
            "cpu_s_per_camera_hour_by_worker": {
                name: round(value / hours, 2) for name, value in spent.items()
            },
            "cameras_per_core": round(len(self._cameras) * took_s / sum(spent.values())),
            "memory_kib_per_camera": round(sum(rss.values()) / 1024 / len(self._cameras), 1),
            "kafka_kib_per_camera_hour": round((self._kafka_bytes() - kafka_bytes) / 1024 / hours),
            "feeder_cpu_percent": round(100 * (_cpu_s(psutil.Process()) - own) / took_s),
            "feeder_late_s": round(feeder.late_s, 1),
        }

    async def _ramp(self, feeder: Feeder) -> dict[str, Any]:
        """Raise the rate until the lag rises through a whole step; return the last one held."""
        held = 0.0
        for _ in range(RAMP_STEPS):
            feeder.rate *= RAMP_FACTOR
            before, sent, began_s = await self._lag(), feeder.sent, time.monotonic()
            await asyncio.sleep(RAMP_STEP_S)
            rate = (feeder.sent - sent) / (time.monotonic() - began_s)
            after = await self._lag()
            _say(f"{rate:.0f} events/s: lag {before} -> {after}")
            if after - before > GROWS * rate:
                return {"lag_grows_at_events_per_s": round(rate), "held_events_per_s": round(held)}
            held = rate
            if feeder.late_s > 1:
                return {"feeder_limit_events_per_s": round(held)}
        return {"held_events_per_s": round(held)}

    async def _lag(self) -> int:
        found = await lag.lags(self._of)
        return found["assemble"] + found["index"]

    def _kafka_bytes(self) -> int:
        """Return the size of the broker's logs of our topics, replicas not multiplied."""
        folder = self._stack.services["kafka"].home / "log"
        return sum(file.stat().st_size for file in folder.glob("*/*.log"))


def _running(workers: Workers, name: str) -> int:
    pid = workers.pid(name)
    if pid is None:
        raise VigilError(f"{name} does not run:\n{workers.tail(name)}")
    return pid


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
