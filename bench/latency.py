"""How long from what happens to what can be asked, over the whole demo.

playable   the edge closed a fragment -> the API's playlist names it
detected   the camera showed a picture -> the API answers with its detection
in_kafka   the same picture -> its detection is in Kafka

Both ends are clocks of this machine. The API is asked every 50 ms, which is the error.
"""

import argparse
import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer

from bench.demo import running_demo
from domain.errors import InvalidEventError
from domain.events import Detection, FragmentArrived, parse
from domain.times import utc_ms
from harness.figures import percentile, spread
from local.folder import DataFolder
from local.stack import read_env
from streams.topics import DETECTION, FRAGMENT_ARRIVED

ASK_EVERY_S = 0.05
STALL_MS = 5_000
"""After a silence of Kafka that is longer, the logs of all programs are kept."""
_SEGMENT = re.compile(r"\bfragments/([0-9a-f-]{36})/(\d+)\.ts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--cameras", type=int, default=4, help="cameras (default 4)")
    parser.add_argument("--minutes", type=float, default=2, help="minutes to measure (default 2)")
    parser.add_argument("--data", type=Path, help="data folder of the demo (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the demo, measure, stop it."""
    return asyncio.run(_run(arguments.cameras, arguments.minutes, arguments.data))


async def _run(cameras: int, minutes: float, data: Path | None) -> dict[str, Any]:
    async with running_demo(cameras, data=data) as (about, folder):
        figures = await _measure(about, read_env(folder / "vigil.env"), minutes * 60)
        if figures["kafka_silence_ms"] > STALL_MS:
            figures["logs"] = _kept_logs(folder)
    return {"cameras": cameras, "minutes": minutes, **figures}


def _kept_logs(data: Path) -> str:
    """Copy the logs of a demo whose folder is deleted; return where they are."""
    kept = tempfile.mkdtemp(prefix="vigil-latency-logs-")
    shutil.copytree(DataFolder(data).logs, kept, dirs_exist_ok=True)
    return kept


async def _measure(about: dict[str, Any], env: dict[str, str], seconds: float) -> dict[str, Any]:
    watch = _LatencyWatch(about)
    consumer = AIOKafkaConsumer(
        FRAGMENT_ARRIVED.full_name,
        DETECTION.full_name,
        bootstrap_servers=env["VIGIL_KAFKA_BROKERS"],
        auto_offset_reset="latest",
    )
    await consumer.start()
    try:
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {about['api_key']}"}
        ) as session:
            tasks = [asyncio.create_task(_closings(consumer, watch))]
            for camera in about["cameras"]:
                base = f"{about['url'].rstrip('/')}/api/v1/cameras/{camera}"
                tasks.append(asyncio.create_task(_playlists(session, base, camera, watch)))
                tasks.append(asyncio.create_task(_detections(session, base, watch)))
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
    finally:
        await consumer.stop()
    figures = spread("playable_ms", watch.playable()) | spread("detected_ms", watch.detected_ms)
    figures |= spread("in_kafka_ms", watch.in_kafka_ms)
    ends = {
        "playable": watch.playable(),
        "detected": watch.detected_ms,
        "in_kafka": watch.in_kafka_ms,
    }
    for name, values in ends.items():
        if values:
            figures[f"{name}_ms_p95"] = round(percentile(values, 95), 1)
    figures["kafka_silence_ms"] = watch.silence_ms
    figures["silent_until_ms"] = watch.silent_until_ms
    return figures | {"load": round(os.getloadavg()[0], 1)}


class _LatencyWatch:
    """When fragments were closed and when they were first seen playable (UTC, ms)."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.began_ms = utc_ms()
        self.closed: dict[tuple[str, int], int] = {}
        self.seen: dict[tuple[str, int], int] = {}
        self.detected_ms: list[float] = []
        self.in_kafka_ms: list[float] = []
        self.silence_ms = 0
        """The longest time without a notice or detection in Kafka."""
        self.silent_until_ms = 0
        self._heard_ms = self.began_ms

    def heard(self, at_ms: int) -> None:
        """Note a notice or detection in Kafka."""
        if at_ms - self._heard_ms > self.silence_ms:
            self.silence_ms, self.silent_until_ms = at_ms - self._heard_ms, at_ms
        self._heard_ms = max(self._heard_ms, at_ms)

    def playable(self) -> list[float]:
        """Return closed -> playable of all fragments closed while watching, ms."""
        return [
            self.seen[name] - closed
            for name, closed in self.closed.items()
            if name in self.seen and closed >= self.began_ms
        ]


async def _closings(consumer: AIOKafkaConsumer, watch: _LatencyWatch) -> None:
    async for message in consumer:
        try:
            event = parse(message.value)
        except InvalidEventError:
            continue
        watch.heard(message.timestamp)
        if isinstance(event, FragmentArrived):
            watch.closed[event.run, event.seq] = event.closed_ms
        elif isinstance(event, Detection):
            watch.in_kafka_ms += [message.timestamp - frame.at_ms for frame in event.frames]


async def _playlists(
    session: aiohttp.ClientSession, base: str, camera: str, watch: _LatencyWatch
) -> None:
    while True:
        query = {"from": str(utc_ms() - 30_000), "live": "1"}
        async with session.get(f"{base}/playlist.m3u8", params=query) as answer:
            if answer.status == 200:
                text = await answer.text()
                now_ms = utc_ms()
                for run_id, seq in _SEGMENT.findall(text):
                    watch.seen.setdefault((run_id, int(seq)), now_ms)
        await asyncio.sleep(ASK_EVERY_S)


async def _detections(session: aiohttp.ClientSession, base: str, watch: _LatencyWatch) -> None:
    newest_ms = utc_ms()
    while True:
        query = {"from": str(newest_ms + 1), "to": str(utc_ms() + 1_000), "limit": "500"}
        async with session.get(f"{base}/detections", params=query) as answer:
            if answer.status == 200:
                found = {each["at_ms"] for each in (await answer.json())["detections"]}
                now_ms = utc_ms()
                watch.detected_ms += [now_ms - at_ms for at_ms in sorted(found)]
                newest_ms = max(found, default=newest_ms)
        await asyncio.sleep(ASK_EVERY_S)
