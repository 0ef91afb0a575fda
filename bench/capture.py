"""What recording costs: the edge against one ffmpeg for each camera, from the same RTSP server.

    RTSP server ── first ──► vigil edge run, all cameras (no cloud: everything stays in the spool)
               ├── then ───► a bare loop of PyAV, a thread for each camera (capture_bare.py)
               └── then ───► ffmpeg -rtsp_transport tcp -c copy -f segment, once for each camera

All write segments of 4 s to the same disk. The edge also hashes and syncs each fragment, and
tries to reach a cloud that is not there; what it costs beyond the bare loop is its own. Lost frames
are found by the fragments' own times: a run's frames must fill its time at the clip's rate
without a hole. What the edge gave up is counted apart, by reason and camera.

`--stall-s`: the edge alone, on a disk that hangs for so long in the middle of the measurement.
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

from bench.capture_footage import SpooledFootage, spooled_footage
from domain.errors import VigilError
from edge_bridge.spool.files import FragmentFiles
from harness import noise_footage as reel
from harness.stalled_disk import StalledDisk, stalled_disk
from harness.usage import Usage, usage
from local.cameras import CameraServer
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.program import Program, vigil
from media import native

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
    parser.add_argument(
        "--stall-s", type=int, default=0,
        help="measure only the edge, on a disk that hangs for so long; needs root (default 0)",
    )  # fmt: skip


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
            if arguments.stall_s:
                return _stalled(folder, served, arguments)
            edge, served_edge = _edge(folder / "edge", served, arguments.seconds)
            footage = _footage(folder / "edge" / "spool")
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
            "edge_native": native.AVAILABLE,
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
            **_counts(footage),
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


def _stalled(folder: Path, served: CameraServer, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what the edge costs, and what it loses, on a disk that hangs for a while."""
    megabytes = arguments.cameras * arguments.megabits / 8
    seconds = arguments.seconds + arguments.stall_s
    with stalled_disk(folder, int(megabytes * (seconds + 60) * 1.5) + 256) as disk:
        spool = disk.folder / "spool"
        edge, served_edge = _edge(
            folder / "edge", served, seconds, spool, _Stall(disk, arguments.stall_s)
        )
        footage = _footage(spool)
    return {
        "cameras": arguments.cameras,
        "megabits": arguments.megabits,
        "seconds": seconds,
        "stall_s": arguments.stall_s,
        "came_mib_in_stall": round(megabytes * arguments.stall_s * 1e6 / (1 << 20), 1),
        "edge_cpu_cores": edge.cores,
        "edge_native": native.AVAILABLE,
        "edge_memory_mib": edge.memory_mib,
        "edge_rss_mib": edge.rss_mib,
        "server_cpu_cores": {"edge": served_edge},
        **_counts(footage),
    }


class _Stall:
    """Lets the disk hang from a third of the time that is left without the stall."""

    def __init__(self, disk: StalledDisk, stall_s: int) -> None:
        self._disk = disk
        self._stall_s = stall_s

    def at(self, passed_s: float, seconds: int) -> None:
        """Stall the disk or let it answer, as it is due."""
        begin_s = (seconds - self._stall_s) / 3
        if begin_s <= passed_s < begin_s + self._stall_s:
            self._disk.stall()
        else:
            self._disk.answer()


def _edge(
    folder: Path,
    served: CameraServer,
    seconds: int,
    spool: Path | None = None,
    stall: _Stall | None = None,
) -> tuple["Cost", float]:
    spool = spool or folder / "spool"
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
        "spool": {"dir": str(spool), "free_floor_bytes": 0},
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
        files = FragmentFiles(spool / "fragments")

        def all_record() -> bool:
            if not program.process.running:
                raise VigilError(f"The edge ended:\n{program.process.tail(10)}")
            begun = files.root.is_dir()
            return begun and len({one.id.camera for one in files.all_files()}) == len(served.urls)

        _until(all_record, "the edge records all cameras")
        return _measured("edge", [_pid(program)], served, seconds, stall)
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
    who: str,
    pids: Sequence[int],
    served: CameraServer,
    seconds: int,
    stall: _Stall | None = None,
) -> tuple[Cost, float]:
    """Return the processes' cost, and cores of the RTSP server."""
    time.sleep(SETTLE_S)
    began_s = time.monotonic()
    before, served_before = usage(pids), usage([served.pid or 0])
    memory, rss = before.memory_mib, before.rss_mib
    while (passed_s := time.monotonic() - began_s) < seconds:
        if stall is not None:
            stall.at(passed_s, seconds)
        time.sleep(min(1.0 if stall else 5.0, max(0.1, seconds - passed_s)))
        now = usage(pids)
        memory, rss = max(memory, now.memory_mib), max(rss, now.rss_mib)
    after, served_after = usage(pids), usage([served.pid or 0])
    took_s = time.monotonic() - began_s

    def cores(first: Usage, last: Usage) -> float:
        return round((last.cpu_s - first.cpu_s) / took_s, 3)

    cost = Cost(cores(before, after), round(memory, 1), round(rss, 1))
    say(f"{who}: {cost}, {after.threads} threads")
    return cost, cores(served_before, served_after)


def _footage(spool: Path) -> SpooledFootage:
    """Return what the spool contains. Raises VigilError where footage vanished silently."""
    footage = spooled_footage(spool, TICKS_PER_FRAME)
    for why, cameras in footage.given_up.items():
        count = sum(cameras.values())
        say(f"given up, {why}: {count} fragments of {len(cameras)} cameras: {cameras}")
    if footage.missing:
        raise VigilError(f"Fragments are missing in the spool without a reason: {footage.missing}.")
    return footage


def _counts(footage: SpooledFootage) -> dict[str, Any]:
    return {
        "frames": footage.frames,
        "frames_lost": footage.frames_lost,
        "runs": footage.runs,
        "fragments_given_up": {
            why: sum(cameras.values()) for why, cameras in footage.given_up.items()
        },
        "gaps": footage.gaps,
        "given_up_of_cameras": footage.given_up,
    }


def _until(done: Any, what: str, within_s: float = 180) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise VigilError(f"Not within {within_s:.0f} s: {what}.")
        time.sleep(0.5)
