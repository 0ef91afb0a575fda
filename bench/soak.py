"""Does an edge stay as it was? Memory, threads and open files of a long run, everything at work.

    RTSP server ──► vigil edge run (capture, spool, uploads, inference) ──► S3, SQS

After the first fragments of all cameras and a warm-up, it is measured every few seconds. Growth is
the slope of a line through the memory of the last three quarters, by least squares.
"""

import argparse
import itertools
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.cloudlet import Cloudlet, need
from bench.usage import Usage, usage
from domain.errors import VigilError
from local.cameras import Camera, Cameras
from local.clips import CLIPS, prepare
from local.folder import DataFolder
from local.program import Program, vigil

SITE = "bench/soak"
EVERY_S = 2.0
WARM_S = 20.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--minutes", type=float, default=30, help="how long (default 30)")
    parser.add_argument("--cameras", type=int, default=8, help="cameras (default 8)")
    parser.add_argument(
        "--rate", type=float, default=0.5, help="pictures a second looked at (default 0.5)"
    )
    parser.add_argument("--data", type=Path, help="folder of all data, kept (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the edge and return how its use of the machine went."""
    folder = arguments.data or Path(tempfile.mkdtemp(prefix="vigil-soak-"))
    names = [f"cam-{number}" for number in range(arguments.cameras)]
    clips = itertools.cycle([str(prepare(clip, say)) for clip in CLIPS])
    cameras: list[Camera] = [
        {"name": name, "file": next(clips), "offset_ms": 1_700 * number}
        for number, name in enumerate(names)
    ]
    try:
        with (
            Cloudlet(folder / "cloud", say) as cloud,
            Cameras.start(folder / "cameras", cameras) as served,
        ):
            program = _edge(folder / "edge", dict(cloud.env), served, arguments.rate)
            program.launch()
            try:
                measured = _watched(program, arguments.minutes * 60)
            finally:
                program.process.stop()
    finally:
        if arguments.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    return {"cameras": len(names), "minutes": arguments.minutes} | figures(measured)


def say(line: str) -> None:
    """Tell how it goes, beside the figures."""
    print(line, file=sys.stderr, flush=True)


def _edge(folder: Path, env: dict[str, str], served: Cameras, rate: float) -> Program:
    data = DataFolder(folder)
    data.open(fresh=True)
    config = {
        "site": SITE,
        "edge": "bench",
        "cloud": {
            "bucket": need(env, "VIGIL_S3_BUCKET"),
            "queue_url": need(env, "VIGIL_SQS_QUEUE_URL"),
            "s3_endpoint": need(env, "VIGIL_S3_ENDPOINT"),
            "sqs_endpoint": need(env, "VIGIL_SQS_ENDPOINT"),
        },
        # Small, so that space is made all the while, as on a device that has run for weeks.
        "spool": {"dir": str(folder / "spool"), "free_floor_bytes": 0, "free_floor_s": 0,
                  "max_bytes": "64 MiB"},
        "cameras": [{"id": name, "url": url} for name, url in served.urls.items()],
        "inference": {"enabled": True, "model": "hog", "rate_fps": rate},
    }  # fmt: skip
    path = folder / "edge.yaml"
    path.write_text(yaml.safe_dump(config))
    command = vigil("edge", "run", "--config", str(path))
    return Program("edge", command, data, {**os.environ, **env}, stop_within_s=60)


def _watched(program: Program, seconds: float) -> list[tuple[float, Usage]]:
    """Return (seconds since the warm-up, usage), as long as told."""
    say(f"warming up for {WARM_S:.0f} s")
    time.sleep(WARM_S)
    began_s = time.monotonic()
    measured = []
    while (at_s := time.monotonic() - began_s) < seconds:
        if (pid := program.process.pid) is None:
            raise VigilError(f"The edge ended:\n{program.process.tail(10)}")
        measured.append((at_s, usage([pid])))
        if len(measured) % 30 == 1:
            say(f"{at_s:5.0f} s  {measured[-1][1]}")
        time.sleep(EVERY_S)
    return measured


def figures(measured: list[tuple[float, Usage]]) -> dict[str, Any]:
    """Return what a series of (seconds, usage) comes to."""
    late = measured[len(measured) // 4 :]
    if len(late) < 2:
        raise VigilError("Too short to say anything: give it more minutes.")
    slope = statistics.linear_regression(
        [at_s for at_s, _ in late], [each.memory_mib for _, each in late]
    ).slope
    seconds = measured[-1][0] - measured[0][0]
    return {
        "memory_mib_first": round(measured[0][1].memory_mib, 1),
        "memory_mib_last": round(measured[-1][1].memory_mib, 1),
        "memory_mib_most": round(max(each.memory_mib for _, each in measured), 1),
        "growth_mib_per_hour": round(slope * 3_600, 2),
        "threads": _range([each.threads for _, each in late]),
        "files": _range([each.files for _, each in late]),
        "processes": _range([each.processes for _, each in late]),
        "cpu_cores": round((measured[-1][1].cpu_s - measured[0][1].cpu_s) / max(seconds, 1), 3),
    }


def _range(values: list[int]) -> list[int]:
    return [min(values), max(values)]
