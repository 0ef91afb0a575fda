"""How fast fragments become chunks, what that costs, and how much memory a long chunk takes.

    joiner    object server ──► verified, indexed, hashed ──► object server, and a manifest
    copy      object server ──► object server     obstore: read all, one PUT; nothing is checked
    fetch     object server ──► disk              curl, one after another
    ffmpeg    object server ──► disk              -f concat -c copy; and disk ──► disk
    old       as joiner, by the code of another checkout (--against)

All take turns in the same run, over the same local object server, with the same files. The server
uses its full compiler, and its CPU is printed next to ours.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from domain.events import ChunkDue, FragmentRef, VideoForm, encode
from domain.identity import fragment_key, new_run_id
from harness import noise_footage as reel
from harness.cpu_cost import cpu_s
from harness.environment import own_services, say
from local.folder import project_root
from stores.objects import ObjectStore
from streams.settings import get_settings
from streams.storage import make_object_store

MIB = 1 << 20
REEL_S = 60
CAMERA = "bench/join/gate"
START_MS = 1_790_000_040_000
"""A multiple of a minute and of ten."""
SIGNED_FOR_S = 3_600
WITHIN_S = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--rounds", type=int, default=5, help="chunks of each bit rate (default 5)")
    parser.add_argument(
        "--megabits",
        type=float,
        action="append",
        help="bit rate in Mbit/s (repeatable; default 2, 4, 8)",
    )
    parser.add_argument(
        "--long-minutes",
        type=int,
        default=10,
        help="minutes of the long chunk (default 10; 0: none)",
    )
    parser.add_argument(
        "--quick-start",
        action="store_true",
        help="run the object server as tests do: it starts faster and needs more CPU",
    )
    parser.add_argument(
        "--against", type=Path, help="another checkout of Vigil, whose joiner takes turns with ours"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all rates and the long chunk."""
    rates: list[float] = arguments.megabits or [2, 4, 8]
    with own_services("join", full_jit=not arguments.quick_start) as (stack, scratch):
        server = stack.services["s3"].process.pid
        assert server is not None
        bench = JoinBench(scratch, server, arguments.rounds, arguments.against)
        return asyncio.run(bench.measure(rates, arguments.long_minutes))


@dataclass(frozen=True)
class JoinReel:
    """A run of a reel's fragments in the object server, and the same on disk."""

    due: ChunkDue
    files: list[Path]
    sha256: str
    """Of all bytes in order."""
    size_bytes: int


@dataclass
class _Costs:
    """What one way took in each round."""

    mb_per_s: list[float] = field(default_factory=list)
    own_ms_per_mb: list[float] = field(default_factory=list)
    """CPU of the process that does the work; empty where it was not measured."""
    server_ms_per_mb: list[float] = field(default_factory=list)


class JoinBench:
    """Measures all ways. `server` is the pid of the object server."""

    def __init__(self, folder: Path, server: int, rounds: int, against: Path | None) -> None:
        self._folder = folder
        self._server = server
        self._rounds = rounds
        self._against = against

    async def measure(self, rates: Sequence[float], long_minutes: int) -> dict[str, Any]:
        """Return the figures of all rates and of the long chunk."""
        async with (
            make_object_store(get_settings()) as store,
            AsyncExitStack() as running,
        ):
            self._store = store
            joiner = await running.enter_async_context(_JoinProcess.start(project_root()))
            self._workers = {"joiner": joiner}
            copy = _JoinProcess.start(project_root(), "--copy")
            self._workers["copy"] = await running.enter_async_context(copy)
            if self._against is not None:
                old = _JoinProcess.start(self._against)
                self._workers["old"] = await running.enter_async_context(old)
            figures: dict[str, Any] = {
                "rounds": self._rounds,
                "idle_mib": joiner.idle_kib // 1024,
            }
            for rate in rates:
                cuts = await asyncio.to_thread(_filmed, self._folder, rate)
                name = f"{rate:g}_mbit"
                figures[name] = await self._rate(self._folder / name, cuts)
                say(f"{rate:g} Mbit/s: {figures[name]}")
            if long_minutes:
                figures |= await self._long(joiner, cuts, long_minutes)
        figures["load"] = round(os.getloadavg()[0], 1)
        return figures

    async def _long(
        self, joiner: "_JoinProcess", cuts: Sequence[reel.Cut], minutes: int
    ) -> dict[str, Any]:
        long = await _put(self._store, self._folder / "long", cuts, times=minutes)
        cost = await joiner.join(long)
        return {
            "long_minutes": minutes,
            "long_mib": long.size_bytes // MIB,
            "long_mb_per_s": round(long.size_bytes / cost["seconds"] / 1e6, 1),
            "peak_mib_above_idle": round((cost["peak_kib"] - joiner.idle_kib) / 1024, 1),
        }

    async def _rate(self, folder: Path, cuts: list[reel.Cut]) -> dict[str, Any]:
        """Let all ways take turns, so that what else the machine does hits all of them.

        The first round only warms up: Java compiles what is used often.
        """
        costs: dict[str, _Costs] = {}
        for number in range(-1, self._rounds):
            for name, worker in self._workers.items():
                made = await _put(self._store, folder / f"{number}-{name}", cuts)
                before_s = cpu_s(self._server)
                cost = await worker.join(made)
                server_s = cpu_s(self._server) - before_s
                if number >= 0:
                    spent = costs.setdefault(name, _Costs())
                    spent.mb_per_s.append(made.size_bytes / cost["seconds"] / 1e6)
                    spent.own_ms_per_mb.append(cost["cpu_s"] / made.size_bytes * 1e9)
                    spent.server_ms_per_mb.append(server_s / made.size_bytes * 1e9)
            urls = await _signed(self._store, made)
            commands: dict[str, Callable[[], float | None]] = {
                "fetch": partial(_fetched, made, urls),
                "ffmpeg": partial(_ffmpeg, made, urls),
                "ffmpeg_disk": partial(_ffmpeg, made, [str(each) for each in made.files]),
            }
            for name, command in commands.items():
                seconds = await asyncio.to_thread(command)
                if number >= 0 and seconds is not None:
                    costs.setdefault(name, _Costs()).mb_per_s.append(
                        made.size_bytes / seconds / 1e6
                    )
            shutil.rmtree(folder)
        return {
            "megabytes": round(made.size_bytes / 1e6, 1),
            "fragments": len(cuts),
            **_summary(costs),
        }


def _summary(costs: Mapping[str, _Costs]) -> dict[str, float]:
    """Return the medians, and the joiner's speed as a share of the others'."""
    found: dict[str, float] = {}
    own = statistics.median(costs["joiner"].mb_per_s)
    for name, spent in costs.items():
        speed = statistics.median(spent.mb_per_s)
        found[f"{name}_mb_per_s"] = round(speed, 1)
        if name != "joiner":
            found[f"of_{name}"] = round(own / speed, 2)
        if spent.own_ms_per_mb:
            found[f"{name}_cpu_ms_per_mb"] = round(statistics.median(spent.own_ms_per_mb), 2)
            server = statistics.median(spent.server_ms_per_mb)
            found[f"{name}_server_cpu_ms_per_mb"] = round(server, 2)
    return found


def _filmed(folder: Path, rate: float) -> list[reel.Cut]:
    path = folder / f"reel-{rate:g}.ts"
    reel.film(path, seconds=REEL_S, megabits=rate)
    return reel.cut(path)


async def _put(
    store: ObjectStore, folder: Path, cuts: Sequence[reel.Cut], *, times: int = 1
) -> JoinReel:
    """Put a reel, `times` over, as one run into the store and on disk."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    run = new_run_id(START_MS, random.randbytes(10))
    whole, at_ms, size = hashlib.sha256(), START_MS, 0
    refs: list[FragmentRef] = []
    files: list[Path] = []
    for seq, each in enumerate([cut for _ in range(times) for cut in cuts]):
        sha256 = hashlib.sha256(each.data).hexdigest()
        await store.put_once(
            fragment_key(CAMERA, run, seq), each.data, sha256=sha256, metadata={"seq": str(seq)}
        )
        refs.append(
            FragmentRef(
                seq=seq,
                start_ms=at_ms,
                duration_ms=each.duration_ms,
                start_pts=each.start_pts,
                size_bytes=len(each.data),
                sha256=sha256,
            )
        )
        if times == 1:
            files.append(folder / f"{seq:08d}.ts")
            files[-1].write_bytes(each.data)
        whole.update(each.data)
        at_ms += each.duration_ms
        size += len(each.data)
    due = ChunkDue(
        camera=CAMERA,
        run=run,
        window_start_ms=START_MS,
        window_ms=60_000 * times,
        reason="complete",
        form=VideoForm(video_codec="h264", width=reel.WIDTH, height=reel.HEIGHT),
        fragments=refs,
    )
    return JoinReel(due, files, whole.hexdigest(), size)


async def _signed(store: ObjectStore, made: JoinReel) -> list[str]:
    due = made.due
    return [
        await store.presign(fragment_key(due.camera, due.run, each.seq), expires_s=SIGNED_FOR_S)
        for each in due.fragments
    ]


class _JoinProcess:
    """A child process that joins or copies (join_process.py)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.idle_kib = 0

    @classmethod
    @asynccontextmanager
    async def start(cls, checkout: Path, *arguments: str) -> "AsyncIterator[_JoinProcess]":
        """Run the worker of a checkout until the end of the context."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.join_process", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            limit=MIB,
        )
        started = cls(process)
        try:
            started.idle_kib = (await started._read())["idle_kib"]
            yield started
        finally:
            await started._stop()

    async def join(self, made: JoinReel) -> dict[str, Any]:
        """Let it join; returns what it cost. Raises VigilError where the bytes are wrong."""
        assert self._process.stdin is not None
        self._process.stdin.write(encode(made.due) + b"\n")
        await self._process.stdin.drain()
        cost = await self._read()
        if cost["sha256"] != made.sha256 or cost["fragments"] != len(made.due.fragments):
            raise VigilError(f"The chunk {cost['key']} is not its fragments joined.")
        return cost

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), WITHIN_S)
        if not line:
            raise VigilError("The joining process ended; see its messages above.")
        found: dict[str, Any] = json.loads(line)
        return found

    async def _stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def _fetched(made: JoinReel, urls: list[str]) -> float | None:
    return _timed(["curl", "--silent", "--fail", *urls], made)


def _ffmpeg(made: JoinReel, inputs: list[str]) -> float | None:
    """None where ffmpeg is not installed."""
    names = made.files[0].with_name("inputs.txt")
    names.write_text("".join(f"file '{each}'\n" for each in inputs))
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "concat", "-safe", "0"]
    command += ["-protocol_whitelist", "file,http,tcp", "-i", str(names)]
    command += ["-c", "copy", "-f", "mpegts", "pipe:1"]
    return _timed(command, made, exact=False)


def _timed(command: list[str], made: JoinReel, *, exact: bool = True) -> float | None:
    """Return how long a command takes to write the chunk to a file; None: it is not installed."""
    target = made.files[0].with_name("chunk.ts")
    if shutil.which(command[0]) is None:
        return None
    with target.open("wb") as out:
        began_s = time.perf_counter()
        ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        took_s = time.perf_counter() - began_s
    if ended.returncode:
        raise VigilError(f"{command[0]} failed: {ended.stderr.decode(errors='replace')[-500:]}")
    if exact and target.stat().st_size != made.size_bytes:
        raise VigilError(f"{command[0]} wrote {target.stat().st_size} bytes.")
    return took_s
