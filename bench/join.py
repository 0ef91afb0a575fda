"""How fast fragments become chunks, and how much memory a long chunk takes.

    joiner    object server ──► verified, indexed ──► object server, and a manifest
    fetch     object server ──► disk          curl, one after another
    cat       disk ──► disk
    ffmpeg    object server ──► disk          -f concat -c copy; and disk ──► disk

All in the same run, over the same local object server, with the same files.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from domain.events import ChunkDue, FragmentRef, VideoForm, encode
from domain.identity import fragment_key, new_run_id
from harness import noise_footage as reel
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
        "--long-minutes", type=int, default=10, help="minutes of the long chunk (default 10)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all rates and the long chunk."""
    rates: list[float] = arguments.megabits or [2, 4, 8]
    with own_services("join") as (_, scratch):
        return asyncio.run(_measure(scratch, rates, arguments.rounds, arguments.long_minutes))


@dataclass(frozen=True)
class JoinReel:
    """A run of a reel's fragments in the object server, and the same on disk."""

    due: ChunkDue
    files: list[Path]
    sha256: str
    """Of all bytes in order."""
    size_bytes: int


async def _measure(
    folder: Path, rates: Sequence[float], rounds: int, long_minutes: int
) -> dict[str, Any]:
    async with make_object_store(get_settings()) as store:
        joiner = await _JoinerProcess.start()
        try:
            figures: dict[str, Any] = {"rounds": rounds, "idle_mib": joiner.idle_kib // 1024}
            for rate in rates:
                cuts = await asyncio.to_thread(_filmed, folder, rate)
                name = f"{rate:g}_mbit"
                figures[name] = await _rate(store, joiner, folder / name, cuts, rounds)
                say(f"{rate:g} Mbit/s: {figures[name]}")
            long = await _put(store, folder / "long", cuts, times=long_minutes)
            cost = await joiner.join(long)
        finally:
            await joiner.stop()
    figures["long_minutes"] = long_minutes
    figures["long_mib"] = long.size_bytes // MIB
    figures["long_mb_per_s"] = round(long.size_bytes / cost["seconds"] / 1e6, 1)
    figures["peak_mib_above_idle"] = round((cost["peak_kib"] - joiner.idle_kib) / 1024, 1)
    figures["load"] = round(os.getloadavg()[0], 1)
    return figures


def _filmed(folder: Path, rate: float) -> list[reel.Cut]:
    path = folder / f"reel-{rate:g}.ts"
    reel.film(path, seconds=REEL_S, megabits=rate)
    return reel.cut(path)


async def _rate(
    store: ObjectStore, joiner: "_JoinerProcess", folder: Path, cuts: list[reel.Cut], rounds: int
) -> dict[str, Any]:
    """Let all ways take turns, so that what else the machine does hits all of them."""
    speeds: dict[str, list[float]] = {}
    cpu: list[float] = []
    for number in range(rounds):
        made = await _put(store, folder / str(number), cuts)
        urls = await _signed(store, made)
        ways: dict[str, Callable[[], float | None]] = {
            "fetch": partial(_fetched, made, urls),
            "cat": partial(_cat, made),
            "ffmpeg": partial(_ffmpeg, made, urls),
            "ffmpeg_disk": partial(_ffmpeg, made, [str(each) for each in made.files]),
        }
        cost = await joiner.join(made)
        taken: dict[str, float | None] = {"joiner": cost["seconds"]}
        for name, way in ways.items():
            taken[name] = await asyncio.to_thread(way)
        for name, seconds in taken.items():
            if seconds is not None:
                speeds.setdefault(name, []).append(made.size_bytes / seconds / 1e6)
        cpu.append(cost["cpu_s"] / made.size_bytes * 1e9)
        shutil.rmtree(folder)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        "megabytes": round(made.size_bytes / 1e6, 1),
        "fragments": len(cuts),
        **{f"{name}_mb_per_s": round(value, 1) for name, value in middle.items()},
        **{
            f"of_{name}": round(middle["joiner"] / value, 2)
            for name, value in middle.items()
            if name != "joiner"
        },
        "joiner_cpu_ms_per_mb": round(statistics.median(cpu), 2),
    }


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


class _JoinerProcess:
    """The child process that joins."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.idle_kib = 0

    @classmethod
    async def start(cls) -> "_JoinerProcess":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.join_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=project_root(),
            limit=MIB,
        )
        started = cls(process)
        started.idle_kib = (await started._read())["idle_kib"]
        return started

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

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


def _cat(made: JoinReel) -> float | None:
    return _timed(["cat", *map(str, made.files)], made)


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
