"""Memory and CPU of the assembler by its cameras: its cache and its table, without Kafka.

`python -m bench.scale_state CAMERAS` is one process with so many cameras. Each has as many open
fragments as one that records: 1 to 30 of 2 s, in a window of a minute. Then events come in turn,
and each simulated second the cache is written, as by a commit.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from faust.types import TP

from domain.events import FragmentArrived
from domain.identity import new_run_id
from domain.windows import WindowRules
from streams import gc_tuning
from streams.codec import Record
from streams.delivery import table_context
from streams.topics import FRAGMENT_ARRIVED, partition_of
from tables.window_cache import WindowCache

PARTITIONS = 64
FRAGMENT_MS = 2_000
FRAGMENTS = 30
"""Of a window."""
EVENTS = 40_000
"""That are measured, whatever the number of cameras."""
TICK_EVERY_S = 5
T0_MS = 1_790_000_000_000 // 60_000 * 60_000


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each number of cameras in a process of its own."""
    found = []
    for cameras in arguments.state_cameras:
        with tempfile.TemporaryDirectory(prefix="vigil-scale-") as folder:
            done = subprocess.run(
                [sys.executable, "-m", "bench.scale_state", str(cameras)],
                env={
                    **os.environ,
                    "VIGIL_DATA_DIR": folder,
                    "VIGIL_PARTITIONS": str(PARTITIONS),
                    "VIGIL_KAFKA_BROKERS": "127.0.0.1:1",
                },
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                check=True,
            )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    least, most = found[0], found[-1]
    more = most["cameras"] - least["cameras"]
    if more > 0:
        kib = (most["memory_mib"] - least["memory_mib"]) * 1024
        most["kib_for_each_further_camera"] = round(kib / more, 1)
        ratio = most["cpu_us_per_event"] / least["cpu_us_per_event"]
        most["cpu_per_event_to_the_first"] = round(ratio, 2)
    return found


class _Assembler:
    """What the cache needs of an app: a producer and a consumer that take all at once."""

    def __init__(self) -> None:
        self.before_commit: list[Any] = []
        self.on_positioned: list[Any] = []
        self.consumer = self.interrupted = self
        self.settings = argparse.Namespace(partitions=PARTITIONS)

    def hold_commit(self, _tp: TP, _offset: int) -> Callable[[], None]:
        return lambda: None

    @asynccontextmanager
    async def bounded(self, _what: str) -> AsyncIterator[None]:
        yield

    async def maybe_start_producer(self) -> "_Assembler":
        return self

    async def send(self, *_: Any) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def retry(self, action: Any, *, what: str) -> Any:
        return await action()


class _Entries:
    """A table's files, without its changelog."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def get(self, key: str) -> Any:
        return self._store.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._store[key] = value

    def pop(self, key: str, default: Any = None) -> Any:
        del self._store[key]
        return default

    def keys(self) -> Any:
        return ()


async def _opened_table() -> Any:
    from streams.app import make_app  # noqa: PLC0415 - it reads the settings
    from tables.open_windows import open_windows  # noqa: PLC0415

    app = make_app("assemble")
    app.conf.tabledir.mkdir(parents=True, exist_ok=True)
    table = open_windows(app)
    tps = {TP(table.changelog_topic_name, number) for number in range(PARTITIONS)}
    app.assignor.assigned_actives = lambda: tps
    await table.data.assign_partitions(table, tps)
    return table.data


class _State:
    """The cache, and where each camera is."""

    def __init__(self, cameras: int, store: Any) -> None:
        self.cameras = [f"bench/site-{number // 32}/cam-{number}" for number in range(cameras)]
        self.partitions = [partition_of(camera, PARTITIONS) for camera in self.cameras]
        self.runs = [
            new_run_id(T0_MS, number.to_bytes(10, "big")) for number in range(len(self.cameras))
        ]
        self.seqs = [0] * cameras
        app: Any = _Assembler()
        self.cache = WindowCache(app, _Entries(store), WindowRules())

    def event(self, number: int) -> FragmentArrived:
        seq = self.seqs[number]
        self.seqs[number] += 1
        start_ms = T0_MS + seq * FRAGMENT_MS
        return FragmentArrived(
            camera=self.cameras[number], run=self.runs[number], seq=seq, start_ms=start_ms,
            duration_ms=FRAGMENT_MS, start_pts=seq * FRAGMENT_MS * 90, arrived_ms=start_ms,
            closed_ms=start_ms + FRAGMENT_MS, frames=50, size_bytes=1_000_000 + seq * 188,
            sha256=f"{number:032x}{seq:032x}", video_codec="h264", width=1_920, height=1_080,
        )  # fmt: skip

    async def apply(self, number: int) -> None:
        """Apply the next event of a camera, as the assembler does."""
        event = self.event(number)
        at_ms = event.closed_ms
        record = Record(FRAGMENT_ARRIVED.name, self.partitions[number], 0, None, None, at_ms)
        windows = self.cache.for_update(event.camera, record)
        _, decided = windows.on_fragment(event, at_ms)
        await self.cache.update(windows, record, decided)

    def tick(self, at_ms: int) -> None:
        """Let time pass for all cameras."""
        for partition in range(PARTITIONS):
            with table_context.source_partition(FRAGMENT_ARRIVED.name, partition):
                for camera in self.cache.cameras(partition):
                    self.cache.peek(camera).on_tick(at_ms)


async def _measure(cameras: int) -> dict[str, Any]:
    gc_tuning.tune()
    process = psutil.Process()
    state = _State(cameras, await _opened_table())
    for number in range(cameras):
        for _ in range(FRAGMENTS + number % FRAGMENTS + 1):
            await state.apply(number)
        if number % 100 == 0:
            await state.cache.flush()
    await state.cache.flush()
    began_s, ticks_s = time.process_time(), 0.0
    turns = _turns(cameras)
    per_second = max(1, cameras * 1_000 // FRAGMENT_MS)
    for at in range(EVENTS):
        await state.apply(next(turns))
        if at % per_second == per_second - 1:
            await state.cache.flush()
    await state.cache.flush()
    event_us = (time.process_time() - began_s) / EVENTS * 1e6
    began_s = time.process_time()
    state.tick(T0_MS + FRAGMENT_MS)  # of a time at which nothing is due
    ticks_s = time.process_time() - began_s
    second_us = event_us * 1_000 / FRAGMENT_MS + ticks_s / cameras / TICK_EVERY_S * 1e6
    memory = process.memory_info().rss / (1 << 20)
    return {
        "cameras": cameras,
        "memory_mib": round(memory, 1),
        "memory_kib_per_camera": round(memory * 1024 / cameras, 1),
        "cpu_us_per_event": round(event_us, 1),
        "cpu_s_per_camera_hour": round(second_us * 3_600 / 1e6, 3),
    }


def _turns(cameras: int) -> Iterator[int]:
    while True:
        yield from range(cameras)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(int(sys.argv[1])))))
