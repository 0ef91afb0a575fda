"""The VPN is down for days: is anything lost within the spool's size, and what beyond it?

    fill     N hours of M cameras go through the spool's own code, with times of the past
    compare  each fragment is in the journal and on the disk; else it was given up: of the cameras
             with the lowest priority, the oldest
    return   a real edge starts on this spool, without a cloud; then the cloud answers: how long
             until new footage is there, while the backlog waits?

Half of the cameras have priority 8, the others 3. `--bytes` scales the fragments: by count all is
as it would be. The cloud is a substitute that keeps nothing (counting_cloud.py). With `--data` a
run continues where the one before ended. So a long one is done in pieces of `--for-s`.
"""

import argparse
import asyncio
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from domain.errors import VigilError
from domain.events import RunStarted
from domain.identity import FragmentId, new_run_id
from domain.times import utc_ms
from edge_bridge.config import EdgeConfig
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.loss_rows import read_losses
from edge_bridge.spool.rows import FragmentState
from edge_bridge.spool.spool import ClosedFragment, Spool, open_spool
from harness.autonomy.counting_cloud import BUCKET, CountingCloud
from harness.environment import environment, say
from harness.figures import spread
from harness.footage import fragment_event
from harness.numbered_edge import FPS, NumberedEdge, started, write_clip

SITE = "bench/autonomy"
HIGH, LOW = 8, 3
LIVE_S = 60
_AT_ONCE = 8
"""As the spool's thread stores what waits at the same time."""
_CLIP_S = 3_000
_PRINT_EVERY_S = 30
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--hours", type=float, default=72, help="hours without VPN (default 72)")
    parser.add_argument("--cameras", type=int, default=32, help="cameras (default 32)")
    parser.add_argument("--fragment-s", type=int, default=4, help="seconds of each (default 4)")
    parser.add_argument("--bytes", type=int, default=2_000, help="bytes of each (default 2000)")
    parser.add_argument(
        "--fits-hours", type=float, help="hours that the spool may hold (default: all)"
    )
    parser.add_argument(
        "--away-s", type=float, default=10, help="seconds without cloud before the return"
    )
    parser.add_argument("--live-cameras", type=int, default=4, help="cameras that record then")
    parser.add_argument(
        "--return-s", type=float, default=60, help="seconds after the return (default 60)"
    )
    parser.add_argument("--drain", action="store_true", help="until all is up, not --return-s")
    parser.add_argument("--for-s", type=float, help="fill for so long; again with the same --data")
    parser.add_argument(
        "--no-sync", action="store_true", help="let fsync do nothing: no crash is part of this"
    )
    parser.add_argument("--data", type=Path, help="folder to keep all data (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fill, compare, return."""
    if arguments.no_sync:
        for name in ("fsync", "fdatasync"):
            setattr(os, name, lambda _: None)
    folder = (arguments.data or Path(tempfile.mkdtemp(prefix="vigil-autonomy-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    device = _OfflineDevice(folder, arguments)
    filled = device.fill(arguments.for_s)
    figures: dict[str, Any] = {
        "hours": arguments.hours, "cameras": arguments.cameras, "bytes": arguments.bytes,
        "fragments": device.total, "filled": filled, "synced": not arguments.no_sync,
    }  # fmt: skip
    if filled < device.total:
        return {**figures, "clean": None}
    compared, faults = device.compare()
    figures |= compared
    returned, more = asyncio.run(device.come_back())
    faults += more
    if arguments.fits_hours is None:
        after, more = device.compare()
        faults += more
        returned["left"] = after["waiting"]
    for fault in faults[:12]:
        say(fault)
    if not faults and arguments.data is None:
        shutil.rmtree(folder, ignore_errors=True)
    return {**figures, **returned, "clean": not faults}


@dataclass(slots=True)
class _Progress:
    """How far the filling is; kept in a file."""

    begin_ms: int
    runs: list[str]
    seq: int = 0


@dataclass(slots=True)
class _Arrivals:
    """What came to the cloud: closed -> there, ms, of new footage; how many of the backlog."""

    runs: frozenset[str]
    """Of the backlog."""
    began_ms: int = 0
    first_new_ms: int = 0
    backlog: int = 0
    backlog_before_new: int = 0
    new: list[tuple[FragmentId, int]] = field(default_factory=list)

    def take(self, one: FragmentId, at_ms: int) -> None:
        """Note a fragment."""
        if one.run in self.runs:
            self.backlog += 1
            return
        if not self.new:
            self.first_new_ms, self.backlog_before_new = at_ms, self.backlog
        self.new.append((one, at_ms))


class _OfflineDevice:
    """One spool, and its cameras."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._spool = folder / "spool"
        self._arguments = arguments
        self._each = int(arguments.hours * 3_600 / arguments.fragment_s)
        self._cameras = [f"{SITE}/cam-{at:02}" for at in range(arguments.cameras)]
        self.total = self._each * len(self._cameras)
        self._progress = self._read_progress()

    def _read_progress(self) -> _Progress:
        path = self._folder / "progress.json"
        if path.exists():
            return _Progress(**json.loads(path.read_text()))
        begin_ms = utc_ms() - int(self._arguments.hours * 3_600_000) - 10 * LIVE_S * 1_000
        return _Progress(begin_ms, [new_run_id(begin_ms, os.urandom(10)) for _ in self._cameras])

    def _write_progress(self) -> None:
        part = self._folder / "progress.part"
        part.write_text(json.dumps(asdict(self._progress)))
        part.rename(self._folder / "progress.json")

    def _priority(self, at: int) -> int:
        return HIGH if at < len(self._cameras) / 2 else LOW

    def _limits(self) -> SpoolLimits:
        most = self._arguments.fits_hours
        per_hour = self._arguments.bytes * self.total / self._arguments.hours
        return SpoolLimits(
            max_bytes=int(per_hour * most) if most else 1 << 50,
            free_floor_bytes=0,
            free_floor_s=0,
            priorities={name: self._priority(at) for at, name in enumerate(self._cameras)},
        )

    def _config(self, cloud: str) -> EdgeConfig:
        limits = self._limits()
        clip = (self._folder / "clip.mp4").as_uri()
        return EdgeConfig.model_validate(
            {
                "site": SITE,
                "edge": "bench",
                "cloud": {
                    "bucket": BUCKET, "queue_url": f"{cloud}/000000000000/counted",
                    "s3_endpoint": cloud, "sqs_endpoint": cloud,
                },
                "spool": {
                    "dir": str(self._spool), "max_bytes": max(limits.max_bytes, 1 << 20),
                    "free_floor_bytes": 0, "free_floor_s": 0,
                },
                "upload": {"live_s": LIVE_S, "flush_s": 30},
                "fragment_s": max(self._arguments.fragment_s, 2),
                "cameras": [
                    {
                        "id": f"cam-{at:02}",
                        # Two cameras may not have one address, nor close all at one moment.
                        "url": f"{clip}?loop=1&offset_ms={at * 700}#{at}",
                        "priority": self._priority(at),
                    }
                    for at in range(self._arguments.live_cameras)
                ],
            }
        )  # fmt: skip

    def fill(self, for_s: float | None) -> int:
        """Store what is missing, for so long at most; return how many were given to the spool."""
        progress, began_s = self._progress, time.monotonic()
        if progress.seq < self._each:
            self._folder.mkdir(exist_ok=True)
            spool = open_spool(self._spool, "bench", self._limits())
            try:
                printed_s = began_s
                while progress.seq < self._each:
                    self._store(spool, progress.seq)
                    progress.seq += 1
                    now_s = time.monotonic()
                    if now_s - printed_s > _PRINT_EVERY_S:
                        printed_s = now_s
                        say(f"{progress.seq * len(self._cameras)} of {self.total} fragments")
                    if for_s is not None and now_s - began_s > for_s:
                        break
            finally:
                spool.close()
            self._write_progress()
        return progress.seq * len(self._cameras)

    def _store(self, spool: Spool, seq: int) -> None:
        duration_ms = self._arguments.fragment_s * 1_000
        start_ms = self._progress.begin_ms + seq * duration_ms
        closed = []
        for camera, run in zip(self._cameras, self._progress.runs, strict=True):
            event, data = fragment_event(
                FragmentId(camera, run, seq), os.urandom(self._arguments.bytes),
                start_ms=start_ms, duration_ms=duration_ms, pts=90_000 + seq * duration_ms * 90,
                frames=25 * self._arguments.fragment_s, size=(1_920, 1_080),
            )  # fmt: skip
            began = RunStarted(camera=camera, run=run, started_ms=start_ms, edge="bench")
            closed.append(ClosedFragment(event, [data], began))
        for at in range(0, len(closed), _AT_ONCE):
            for lost, why in spool.store_all(closed[at : at + _AT_ONCE]):
                raise VigilError(f"the spool did not take {lost.event.key}: {why}.")

    def compare(self) -> tuple[dict[str, Any], list[str]]:
        """Compare what was given with the journal, the disk, and what was given up."""
        kept: dict[str, set[int]] = defaultdict(set)
        waiting: dict[str, set[int]] = defaultdict(set)
        given_up: dict[str, set[int]] = defaultdict(set)
        with closing(sqlite3.connect(f"file:{self._spool}/journal.db?mode=ro", uri=True)) as rows:
            for run, seq, state in rows.execute("SELECT run, seq, state FROM fragments"):
                (given_up if state == FragmentState.GIVEN_UP else kept)[run].add(seq)
                if state == FragmentState.STORED:
                    waiting[run].add(seq)
        for loss in read_losses(self._spool):
            given_up[loss.run].update(range(loss.first_seq, loss.last_seq + 1))
        return self._judge(kept, waiting, given_up)

    def _judge(
        self,
        kept: dict[str, set[int]],
        waiting: dict[str, set[int]],
        given_up: dict[str, set[int]],
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the figures, and in words what is not as it must be."""
        faults: list[str] = []
        lost = {HIGH: 0, LOW: 0}
        for at, (camera, run) in enumerate(zip(self._cameras, self._progress.runs, strict=True)):
            gone = given_up[run] - kept[run]
            missing = set(range(self._each)) - kept[run] - gone
            files = {
                int(each.name[:-5])
                for each in os.scandir(self._spool / "fragments" / camera / run)
                if each.name.endswith(".frag")
            }
            if missing:
                faults.append(f"{len(missing)} fragments of {camera} are lost without a word")
            if waiting[run] - files:
                faults.append(f"{len(waiting[run] - files)} fragments of {camera} have no file")
            if gone and gone != set(range(len(gone))):
                faults.append(f"{camera} gave up other fragments than its oldest")
            lost[self._priority(at)] += len(gone)
        most = self._arguments.fits_hours
        if not (most and most < self._arguments.hours) and (lost[HIGH] or lost[LOW]):
            faults.append(f"{lost[HIGH] + lost[LOW]} fragments were given up, and all fit")
        low = self._each * (len(self._cameras) // 2)
        if lost[HIGH] and lost[LOW] < low:
            faults.append("a camera with a high priority gave up before those with a low one")
        return {
            "kept": sum(len(kept[run]) for run in self._progress.runs),
            "waiting": sum(len(waiting[run]) for run in self._progress.runs),
            "given_up_low": lost[LOW], "given_up_high": lost[HIGH],
        }, faults  # fmt: skip

    async def come_back(self) -> tuple[dict[str, Any], list[str]]:
        """Let an edge run on this spool, first without a cloud; then let the cloud answer."""
        clip = self._folder / "clip.mp4"
        if not clip.exists():
            await asyncio.to_thread(write_clip, clip, _CLIP_S * FPS)
        arrivals = _Arrivals(frozenset(self._progress.runs))
        with environment(_CREDENTIALS):
            async with CountingCloud(arrivals.take) as cloud:
                await cloud.deafen()
                edge, task = await started(self._config(cloud.url))
                await asyncio.sleep(self._arguments.away_s)
                arrivals.began_ms = utc_ms()
                await cloud.listen()
                await self._watch(edge, task)
                edge.stop()
                await task
        waits = await asyncio.to_thread(self._waits, arrivals)
        faults = [f"{cloud.damaged} objects came damaged"] if cloud.damaged else []
        if not arrivals.new:
            faults.append("nothing new came after the return")
        return {
            "first_new_s": round((arrivals.first_new_ms - arrivals.began_ms) / 1_000, 1),
            "backlog_before_new": arrivals.backlog_before_new,
            "backlog_sent": arrivals.backlog, "new": len(arrivals.new),
            "sent_again": cloud.again, "notices": cloud.notices,
            **spread("new_closed_to_cloud_ms", waits),
        }, faults  # fmt: skip

    async def _watch(self, edge: NumberedEdge, task: "asyncio.Task[None]") -> None:
        """Wait for --return-s, or with --drain until the backlog is up."""
        began_s = printed_s = time.monotonic()
        while True:
            await asyncio.sleep(0.25)
            if task.done():
                task.result()
                raise VigilError("the edge ended by itself.")
            now_s = time.monotonic()
            counts = await edge.parts.spool.call(lambda spool: spool.counts())
            if now_s - printed_s > _PRINT_EVERY_S:
                printed_s = now_s
                say(f"{counts.stored} fragments wait")
            if now_s - began_s > self._arguments.return_s and (
                not self._arguments.drain or counts.stored <= self._arguments.live_cameras
            ):
                return

    def _waits(self, arrivals: _Arrivals) -> list[float]:
        """Return closed -> in the cloud, ms, of what was closed after the return."""
        waits = []
        with closing(sqlite3.connect(f"file:{self._spool}/journal.db?mode=ro", uri=True)) as rows:
            for one, at_ms in arrivals.new:
                row = rows.execute(
                    "SELECT event FROM fragments WHERE run = ? AND seq = ?", (one.run, one.seq)
                ).fetchone()
                closed_ms = int(json.loads(row[0])["closed_ms"]) if row and row[0] else at_ms
                if closed_ms >= arrivals.began_ms:
                    waits.append(float(max(at_ms - closed_ms, 0)))
        return waits
