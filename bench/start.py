"""An edge starts while much waits in its spool: how long until it records, and in how much memory?

    spool with N fragments ──► vigil edge run ── its live camera's first fragment is kept
                                            └─── the last of the backlog has been read

First with an empty spool, then with the backlog. On request also without the journal, which is then
rebuilt from the files. The cloud is not there: nothing is sent. The fragments of the backlog are
tiny files: a start reads as many names and rows as with large ones. The cost of a lost journal
depends on their bytes, which are hashed.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import yaml

from bench.backlog import waiting
from domain.errors import VigilError
from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.times import utc_ms
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.files import trailer_of
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.spool.spool import open_spool
from harness.environment import say
from harness.noise_footage import Cut
from harness.numbered_edge import FPS, write_clip
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.program import Program, vigil

SITE = "bench/start"
LIVE = f"{SITE}/live"
_CUT = Cut(0, b"\x47\x1f\xff\x10" + b"\xff" * 184, 90_000, 4_000)
_AT_ONCE = 10_000
_CLIP_S = 60
_LOOK_S = 0.02
_WITHIN_S = 3_600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--fragments", type=int, default=100_000, help="fragments that wait (default 100,000)"
    )
    parser.add_argument(
        "--cameras", type=int, default=32, help="cameras of the backlog (default 32)"
    )
    parser.add_argument("--runs", type=int, default=4, help="runs of each camera (default 4)")
    parser.add_argument("--rebuilt", action="store_true", help="also start without the journal")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start three times; return how long each took, and the memory."""
    folder = Path(tempfile.mkdtemp(prefix="vigil-start-"))
    try:
        clip = folder / "clip.mp4"
        write_clip(clip, _CLIP_S * FPS)
        empty = _started(folder / "first", folder / "empty", clip)
        began_s = time.monotonic()
        spool = folder / "full"
        build(spool, arguments.fragments, arguments.cameras, arguments.runs)
        built_s = time.monotonic() - began_s
        journal = spool / "journal.db"
        size = journal.stat().st_size
        say(f"built in {built_s:.0f} s; the journal has {size >> 20} MiB")
        full = _started(folder / "second", spool, clip)
        found = {"empty": empty, "full": full}
        if arguments.rebuilt:
            for path in journal.parent.glob("journal.db*"):
                path.unlink()
            found["rebuilt"] = _started(folder / "third", spool, clip)
    finally:
        say("deleting what was built")
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "fragments": arguments.fragments,
        "cameras": arguments.cameras,
        "runs": arguments.cameras * arguments.runs,
        "journal_mib": size >> 20,
        "built_s": round(built_s, 1),
        **found,
        "later_than_empty_s": round(full["kept_s"] - empty["kept_s"], 2),
    }


def build(folder: Path, fragments: int, cameras: int, runs: int) -> None:
    """Leave a spool in which so many fragments wait, as an edge that was killed has it.

    Files and rows are what the spool makes of them, but written without being forced to the disk.
    """
    folder.mkdir(parents=True)
    limits = SpoolLimits(free_floor_bytes=0, free_floor_s=0)
    spool = open_spool(folder, "bench", limits)
    try:
        left = fragments
        end_ms = utc_ms() - 60_000
        for turn in range(runs):
            count = left // (runs - turn)
            left -= count
            names = [f"{SITE}/cam-{at:02}" for at in range(cameras)]
            last_ms = end_ms - left // cameras * _CUT.duration_ms
            _put(spool.journal, spool.files.root, waiting(names, [_CUT], count, last_ms))
            say(f"{fragments - left} of {fragments} fragments are made")
    finally:
        spool.close()


def _put(journal: Journal, root: Path, made: Iterator[tuple[FragmentArrived, bytes]]) -> None:
    known: dict[str, Path] = {}
    while True:
        count = 0
        with journal.transaction():
            for event, data in made:
                if event.run not in known:
                    known[event.run] = root / event.camera / event.run
                    known[event.run].mkdir(parents=True)
                    journal.put_run(event.run, event.camera)
                path = known[event.run] / f"{event.seq:08d}.frag"
                path.write_bytes(data + trailer_of(event))
                row = SpooledFragment(
                    event.camera, event.run, event.seq, event.start_ms, event.size_bytes,
                    encode(event).decode(), FragmentState.STORED,
                )  # fmt: skip
                journal.put_fragment(row, event.end_ms)
                if (count := count + 1) == _AT_ONCE:
                    break
        if count < _AT_ONCE:
            return


def _started(folder: Path, spool: Path, clip: Path) -> dict[str, Any]:
    """Start an edge over a spool; return what was seen until all is read."""
    data = DataFolder(folder)
    data.open(fresh=True)
    port = Ports(data).take("edge")
    program = _edge(data, spool, clip, port)
    runs_before = len(_live_runs(spool))
    began_s = time.monotonic()
    program.launch()
    seen: dict[str, Any] = {}
    most = 0
    try:
        while "recovered_s" not in seen or "kept_s" not in seen:
            at_s = time.monotonic() - began_s
            if at_s > _WITHIN_S or (pid := program.process.pid) is None:
                raise VigilError(f"the edge did not record:\n{program.process.tail(10)}")
            with suppress(psutil.NoSuchProcess):
                most = max(most, psutil.Process(pid).memory_info().rss)
            if "kept_s" not in seen and len(_live_runs(spool)) > runs_before:
                seen["kept_s"] = round(at_s, 2)
                seen["memory_mib_kept"] = round(most / (1 << 20), 1)
                say(f"a live fragment is kept after {at_s:.2f} s")
            if "recovered_s" not in seen and _recovered(port):
                seen["recovered_s"] = round(at_s, 2)
                say(f"all that was there is read after {at_s:.2f} s")
            time.sleep(_LOOK_S)
    finally:
        program.process.stop()
        data.close()
    return seen | {"memory_mib_most": round(most / (1 << 20), 1)}


def _edge(data: DataFolder, spool: Path, clip: Path, port: int) -> Program:
    nowhere = f"http://{HOST}:1"
    config = {
        "site": SITE,
        "edge": "bench",
        "http": {"host": HOST, "port": port},
        "cloud": {
            "bucket": "none",
            "queue_url": f"{nowhere}/none",
            "s3_endpoint": nowhere,
            "sqs_endpoint": nowhere,
        },
        "spool": {"dir": str(spool), "free_floor_bytes": 0, "free_floor_s": 0},
        "fragment_s": 2,
        "upload": {"flush_s": 0},
        "cameras": [{"id": LIVE.rsplit("/", 1)[1], "url": f"{clip.as_uri()}?loop=1"}],
    }
    path = data.path / "edge.yaml"
    path.write_text(yaml.safe_dump(config))
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    command = vigil("edge", "run", "--config", str(path))
    return Program("edge", command, data, {**os.environ, **keys}, stop_within_s=120)


def _live_runs(spool: Path) -> set[str]:
    """Return the runs of the live camera of which a fragment's file exists."""
    with suppress(OSError):
        return {path.parent.name for path in (spool / "fragments" / LIVE).glob("*/*.frag")}
    return set()


def _recovered(port: int) -> bool:
    """Return whether the edge reports that it has read all that was there."""
    with (
        suppress(URLError, OSError, ValueError),
        closing(urlopen(f"http://{HOST}:{port}/healthz", timeout=1)) as answer,
    ):
        return not json.load(answer).get("spool", {}).get("mending", False)
    return False
