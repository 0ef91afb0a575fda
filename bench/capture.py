"""What recording costs: the edge against one ffmpeg for each camera, from the same RTSP server.

    RTSP server ── first ──► vigil edge run, all cameras (no cloud: everything stays in the spool)
               ├── then ───► a bare loop of PyAV, a thread for each camera (capture_bare.py)
               └── then ───► ffmpeg -rtsp_transport tcp -c copy -f segment, once for each camera

All write segments of 4 s to the same disk. The edge also hashes and syncs each fragment, and
tries to reach a cloud that is not there; what it costs beyond the bare loop is its own. Lost frames
are found by the fragments' own times: a run's frames must fill its time at the clip's rate
without a hole.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from domain.errors import VigilError
from edge_bridge.spool.files import FragmentFiles
from harness import noise_footage as reel
from harness.usage import Usage, usage
from local.cameras import CameraServer
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.program import Program, vigil

SITE = "bench/capture"
CLIP_S = 20
SETTLE_S = 15.0
FRAGMENT_S = 4
TICKS_PER_FRAME = 90_000 // reel.FPS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--cameras", type=int, default=32, help="cameras (default 32)")
    parser.add_argument(
        "--megabits", type=float, default=4, help="Mbit/s of each camera (default 4)"
    )
    parser.add_argument(
        "--seconds", type=int, default=60, help="seconds to measure each reader (default 60)"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one after the other; return both and the ratios."""
    if shutil.which("ffmpeg") is None:
        raise VigilError("ffmpeg is not installed: run `make setup` on a system with apt.")
    folder = Path(tempfile.mkdtemp(prefix="vigil-capture-"))
    try:
        say(f"filming {CLIP_S} s at {arguments.megabits} Mbit/s")
        clip = _filmed(folder, arguments.megabits)
        names = [f"cam-{number:02}" for number in range(arguments.cameras)]
        cameras = [
            {"name": name, "file": str(clip), "offset_ms": 600 * number % (CLIP_S * 1_000)}
            for number, name in enumerate(names)
        ]
        with CameraServer.start(folder / "cameras", cameras) as served:  # type: ignore[arg-type]
            edge, served_edge = _edge(folder / "edge", served, arguments.seconds)
            frames, lost, runs = _recorded(folder / "edge")
            shutil.rmtree(folder / "edge")
            bare, served_bare = _bare(folder / "bare", served, arguments.seconds)
            shutil.rmtree(folder / "bare")
            ffmpeg, served_ffmpeg = _ffmpegs(folder / "ffmpeg", served, arguments.seconds)
        return {
            "cameras": arguments.cameras,
            "megabits": arguments.megabits,
            "fps": reel.FPS,
            "seconds": arguments.seconds,
            "edge_cpu_cores": edge.cores,
            "edge_memory_mib": edge.memory_mib,
            "edge_rss_mib": edge.rss_mib,
            "bare_pyav_cpu_cores": bare.cores,
            "bare_pyav_memory_mib": bare.memory_mib,
            "bare_pyav_rss_mib": bare.rss_mib,
            "ffmpeg_cpu_cores": ffmpeg.cores,
            "ffmpeg_memory_mib": ffmpeg.memory_mib,
            "ffmpeg_rss_mib": ffmpeg.rss_mib,
            "cpu_of_ffmpeg": round(edge.cores / ffmpeg.cores, 2),
            "cpu_of_bare_pyav": round(edge.cores / bare.cores, 2),
            "memory_of_ffmpeg": round(edge.memory_mib / ffmpeg.memory_mib, 3),
            "memory_rss_of_ffmpeg": round(edge.rss_mib / ffmpeg.rss_mib, 3),
            "frames": frames,
            "frames_lost": lost,
            "runs": runs,
            "server_cpu_cores": {
                "edge": served_edge, "bare_pyav": served_bare, "ffmpeg": served_ffmpeg,
            },
        }  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    """Print progress to standard error, apart from the figures."""
    print(line, file=sys.stderr, flush=True)


def _filmed(folder: Path, megabits: float) -> Path:
    """Return a clip in the container that the RTSP server reads."""
    reel.film(folder / "clip.ts", seconds=CLIP_S, megabits=megabits)
    clip = folder / "clip.mov"
    command = ["ffmpeg", "-v", "error", "-i", str(folder / "clip.ts"), "-c", "copy", str(clip)]
    subprocess.run(command, check=True)
    return clip


def _edge(folder: Path, served: CameraServer, seconds: int) -> tuple["Cost", float]:
    data = DataFolder(folder)
    data.open(fresh=True)
    nowhere = f"http://{HOST}:{Ports(data).take('unused')}"
    config = {
        "site": SITE,
        "edge": "bench",
        "cloud": {
            "bucket": "none", "queue_url": f"{nowhere}/0/none",
            "s3_endpoint": nowhere, "sqs_endpoint": nowhere,
        },
        "spool": {"dir": str(folder / "spool"), "free_floor_bytes": 0},
        "fragment_s": FRAGMENT_S,
        "cameras": [
            {"id": name, "url": url, "audio": False} for name, url in served.urls.items()
        ],
    }  # fmt: skip
    path = folder / "edge.yaml"
    path.write_text(yaml.safe_dump(config))
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    command = vigil("edge", "run", "--config", str(path))
    program = Program("edge", command, data, {**os.environ, **keys}, stop_within_s=60)
    program.launch()
    try:
        files = FragmentFiles(folder / "spool" / "fragments")

        def all_record() -> bool:
            if not program.process.running:
                raise VigilError(f"The edge ended:\n{program.process.tail(10)}")
            begun = files.root.is_dir()
            return begun and len({one.id.camera for one in files.all_files()}) == len(served.urls)

        _until(all_record, "the edge records all cameras")
        return _measured("edge", [_pid(program)], served, seconds)
    finally:
        program.process.stop()


def _pid(program: Program) -> int:
    if program.process.pid is None:
        raise VigilError(f"The edge ended:\n{program.process.tail(10)}")
    return program.process.pid


def _bare(folder: Path, served: CameraServer, seconds: int) -> tuple["Cost", float]:
    folder.mkdir()
    command = [
        sys.executable, "-m", "bench.capture_bare", str(folder), str(FRAGMENT_S),
        *served.urls.values(),
    ]  # fmt: skip
    program = subprocess.Popen(command)
    try:

        def all_record() -> bool:
            if program.poll() is not None:
                raise VigilError("The bare loop ended.")
            return len(list(folder.glob("*/00000001.ts"))) == len(served.urls)

        _until(all_record, "the bare loop records all cameras")
        return _measured("bare PyAV", [program.pid], served, seconds)
    finally:
        program.terminate()
        program.wait()


def _ffmpegs(folder: Path, served: CameraServer, seconds: int) -> tuple["Cost", float]:
    folder.mkdir()
    running = []
    try:
        for name, url in served.urls.items():
            (folder / name).mkdir()
            command = [
                "ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url,
                "-c", "copy", "-f", "segment", "-segment_time", str(FRAGMENT_S),
                "-segment_format", "mpegts", str(folder / name / "%08d.ts"),
            ]  # fmt: skip
            running.append(subprocess.Popen(command))

        def all_record() -> bool:
            if any(each.poll() is not None for each in running):
                raise VigilError("An ffmpeg ended.")
            return all((folder / name / "00000001.ts").exists() for name in served.urls)

        _until(all_record, "all ffmpegs record")
        return _measured("ffmpeg", [each.pid for each in running], served, seconds)
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all processes of one kind; memory is the most that was seen, shared pages shared out."""

    cores: float
    memory_mib: float
    rss_mib: float


def _measured(
    who: str, pids: Sequence[int], served: CameraServer, seconds: int
) -> tuple[Cost, float]:
    """Return the processes' cost, and cores of the RTSP server."""
    time.sleep(SETTLE_S)
    began_s = time.monotonic()
    before, served_before = usage(pids), usage([served.pid or 0])
    memory, rss = before.memory_mib, before.rss_mib
    while time.monotonic() - began_s < seconds:
        time.sleep(min(5.0, max(0.1, began_s + seconds - time.monotonic())))
        now = usage(pids)
        memory, rss = max(memory, now.memory_mib), max(rss, now.rss_mib)
    after, served_after = usage(pids), usage([served.pid or 0])
    took_s = time.monotonic() - began_s

    def cores(first: Usage, last: Usage) -> float:
        return round((last.cpu_s - first.cpu_s) / took_s, 3)

    cost = Cost(cores(before, after), round(memory, 1), round(rss, 1))
    say(f"{who}: {cost}, {after.threads} threads")
    return cost, cores(served_before, served_after)


def _recorded(folder: Path) -> tuple[int, int, int]:
    """Return frames recorded, frames missing inside runs, and how many runs there were."""
    files = FragmentFiles(folder / "spool" / "fragments")
    events = [files.inspect(found.path) for found in files.all_files()]
    runs: dict[tuple[str, str], list[Any]] = {}
    for event in sorted(events, key=lambda each: each.seq):
        runs.setdefault((event.camera, event.run), []).append(event)
    lost = 0
    for run in runs.values():
        seqs = [event.seq for event in run]
        if seqs != list(range(len(run))):
            raise VigilError(f"{run[0].camera}: fragments are missing in the spool: {seqs}")
        following = run[0].start_pts
        for event in run:
            lost += round((event.start_pts - following) / TICKS_PER_FRAME)
            following = event.start_pts + event.frames * TICKS_PER_FRAME
    return sum(event.frames for event in events), lost, len(runs)


def _until(done: Any, what: str, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise VigilError(f"Not within {within_s:.0f} s: {what}.")
        time.sleep(0.5)
