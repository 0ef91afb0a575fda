"""Memory and CPU of the assembler by its cameras: its cache and its table, without Kafka.

`python -m bench.scale_state CAMERAS` is one process with so many cameras. Each has as many open
fragments as one that records: 1 to 30 of 2 s, in a window of a minute. Then events come in turn,
and each simulated second the cache is written, as by a commit.

The processes take turns, a round of events each. So all see the same machine, and their CPU can be
compared where other programs use it too.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
from faust.types import TP

from domain.errors import VigilError
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
EVENTS = 8_000
"""Of a round, whatever the number of cameras."""
ROUNDS = 9
TICK_EVERY_S = 5
T0_MS = 1_790_000_000_000 // 60_000 * 60_000


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each number of cameras in a process of its own, in turn."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_process(cameras)) for cameras in arguments.state_cameras]
        rounds = [[_ask(process) for process in processes] for _ in range(ROUNDS)]
    found = []
    for cameras, figures in zip(arguments.state_cameras, zip(*rounds, strict=True), strict=True):
        event_us = statistics.median(each["event_us"] for each in figures)
        tick_us = statistics.median(each["tick_us"] for each in figures)
        second_us = event_us * 1_000 / FRAGMENT_MS + tick_us / cameras / TICK_EVERY_S
        found.append(
            {
                "cameras": cameras,
                "memory_mib": figures[-1]["memory_mib"],
                "memory_kib_per_camera": round(figures[-1]["memory_mib"] * 1024 / cameras, 1),
                "cpu_us_per_event": round(event_us, 1),
                "cpu_s_per_camera_hour": round(second_us * 3_600 / 1e6, 3),
            }
        )
    least, most = found[0], found[-1]
    more = most["cameras"] - least["cameras"]
    if more > 0:
        kib = (most["memory_mib"] - least["memory_mib"]) * 1024
        most["kib_for_each_further_camera"] = round(kib / more, 1)
        # Of each round, so that what else the machine does is in both.
        ratios = [each[-1]["event_us"] / each[0]["event_us"] for each in rounds]
        most["cpu_per_event_to_the_first"] = round(statistics.median(ratios), 2)
        most["load"] = round(os.getloadavg()[0], 1)
    return found


@contextmanager
def _process(cameras: int) -> Iterator["subprocess.Popen[str]"]:
    """Yield a process with so many cameras; it measures a round for each line that it is sent."""
    with tempfile.TemporaryDirectory(prefix="vigil-scale-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.scale_state", str(cameras)],
            env={
                **os.environ,
                "VIGIL_DATA_DIR": folder,
                "VIGIL_PARTITIONS": str(PARTITIONS),
                "VIGIL_KAFKA_BROKERS": "127.0.0.1:1",
            },
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                _ask(process)  # the first round warms it
                yield process
            finally:
                process.kill()


def _ask(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("round\n")
    process.stdin.flush()
    if not (line := process.stdout.readline()):
        raise VigilError("A process of the bench ended; see its messages above.")
    return dict(json.loads(line))


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


async def _serve(cameras: int) -> None:
    """Build the state, then measure a round for each line of standard input."""
    gc_tuning.tune()
    state = _State(cameras, await _opened_table())
    for number in range(cameras):
        for _ in range(FRAGMENTS + number % FRAGMENTS + 1):
            await state.apply(number)
        if number % 100 == 0:
            await state.cache.flush()
    await state.cache.flush()
    turns = _turns(cameras)
    for _ in sys.stdin:
        print(json.dumps(await _round(state, turns)), flush=True)


async def _round(state: _State, turns: Iterator[int]) -> dict[str, float]:
    per_second = max(1, len(state.cameras) * 1_000 // FRAGMENT_MS)
    began_s = time.process_time()
    for at in range(EVENTS):
        await state.apply(next(turns))
        if at % per_second == per_second - 1:
            await state.cache.flush()
    await state.cache.flush()
    events_s = time.process_time()
    state.tick(T0_MS + FRAGMENT_MS)  # of a time at which nothing is due
    return {
        "event_us": (events_s - began_s) / EVENTS * 1e6,
        "tick_us": (time.process_time() - events_s) * 1e6,
        "memory_mib": round(psutil.Process().memory_info().rss / (1 << 20), 1),
    }


def _turns(cameras: int) -> Iterator[int]:
    while True:
        yield from range(cameras)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
