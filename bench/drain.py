"""An outage is over: how long does live footage wait while the backlog drains on a good line?

    spool: N fragments of the outage ─┐
    cameras, live ────────────────────┴─► uploads ──► a line of 3 times the live rate ──► S3, SQS

Once for each order of uploads, live first and oldest first, with a spool and cameras of its own.
The line is a proxy that carries so many bytes a second, all connections together; or (`--by limit`)
the edge's own cap. Once the last of the backlog is in S3 the cameras go on for a while.
Then the edge is stopped. Then S3 is listed: all that the spool was given must be there, byte for
byte, and be noticed once the queue is read.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from bench.backlog import fill, id_of, waiting
from domain.errors import VigilError
from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId
from domain.times import utc_ms
from edge_bridge.config import EdgeConfig
from edge_bridge.spool.access import SpoolAccess
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from harness import noise_footage as reel
from harness.edge_cloud import EdgeCloud, StoredRuns, differences, drained, need, stored_runs
from harness.environment import environment, say
from harness.fault_proxy import FaultProxy
from harness.figures import spread
from harness.numbered_edge import NumberedEdge, started
from media.fragmenter import FragmentLimits
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

Order = Literal["live", "oldest"]
ORDERS: tuple[Order, ...] = ("live", "oldest")
CLIP_S = 30
LIVE_S = 60
"""Younger footage is live, as by default."""
_PATIENCE = 5
"""The backlog may take so many times as long as the line alone would, and two minutes more."""
_LOOK_S = 0.1
_MANY = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument(
        "--backlog", type=int, default=900, help="fragments that wait (default 900)"
    )
    parser.add_argument("--cameras", type=int, default=4, help="cameras (default 4)")
    parser.add_argument(
        "--megabits", type=float, default=1, help="Mbit/s of each camera (default 1)"
    )
    parser.add_argument(
        "--times",
        type=float,
        default=3,
        help="bandwidth as a multiple of the live rate (default 3)",
    )
    parser.add_argument(
        "--fragment-s", type=int, default=4, help="seconds of each fragment (default 4)"
    )
    parser.add_argument(
        "--after-s",
        type=float,
        default=60,
        help="seconds of live footage after the backlog (default 60)",
    )
    parser.add_argument(
        "--by",
        choices=("line", "limit"),
        default="line",
        help="what limits the bandwidth (default line)",
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Drain by each order; return the figures of both."""
    if arguments.times <= 1:
        raise VigilError("--times must be more than 1: else the backlog grows forever.")
    folder = Path(tempfile.mkdtemp(prefix="vigil-drain-"))
    try:
        clip = folder / "clip.ts"
        reel.film(clip, seconds=CLIP_S, megabits=arguments.megabits)
        with EdgeCloud(folder / "cloud", say) as cloud, environment(cloud.env):
            found = {
                order: asyncio.run(
                    _Drain(folder / order, dict(cloud.env), clip, arguments, order).run()
                )
                for order in ORDERS
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "cameras": arguments.cameras, "megabits": arguments.megabits, "times": arguments.times,
        "by": arguments.by, "fragment_s": arguments.fragment_s, "live_s": LIVE_S,
        **{f"{order}_first": figures for order, figures in found.items()},
        "clean": all(figures["clean"] for figures in found.values()),
    }  # fmt: skip


@dataclass(slots=True)
class Watch:
    """What was seen of fragments, in memory: when the spool got them, when they were in S3."""

    backlog: dict[FragmentId, FragmentArrived] = field(default_factory=dict)
    live: dict[FragmentId, FragmentArrived] = field(default_factory=dict)
    uploaded_ms: dict[FragmentId, int] = field(default_factory=dict)
    """UTC of the first time."""
    left: int = 0
    """Fragments of the backlog that are not in S3."""
    began_ms: int = 0
    drained_ms: int = 0

    def follow(self, spool: SpoolThread) -> None:
        """Note each fragment that is stored, and each that is in S3, from now on."""
        fragment = spool.fragment

        def store(event: FragmentArrived, data: bytes | bytearray, began: RunStarted) -> None:
            self.live[id_of(event)] = event
            fragment(event, data, began)

        setattr(spool, "fragment", store)  # noqa: B010
        spool.submit(self.follow_uploads)

    def follow_uploads(self, spool: SpoolAccess) -> None:
        """Note each fragment that is in S3; on the spool's thread."""
        uploaded = spool.uploaded

        def put(one: FragmentId) -> None:
            uploaded(one)
            if one not in self.uploaded_ms:
                self.uploaded_ms[one] = utc_ms()
                self.left -= one in self.backlog
                if not self.left and not self.drained_ms:
                    self.drained_ms = utc_ms()

        setattr(spool, "uploaded", put)  # noqa: B010

    def waits(self) -> tuple[list[float], list[float]]:
        """Return closed -> in S3, ms, of live footage: closed while the backlog drained, after."""
        while_: list[float] = []
        after: list[float] = []
        for one, event in self.live.items():
            if one in self.uploaded_ms:
                waited = max(float(self.uploaded_ms[one] - event.closed_ms), 0.0)
                (while_ if event.closed_ms < self.drained_ms else after).append(waited)
        return while_, after


class _Drain:
    """One order's turn."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str],
        clip: Path,
        arguments: argparse.Namespace,
        order: Order,
    ) -> None:
        self._folder = folder
        self._env = env
        self._clip = clip
        self._arguments = arguments
        self._order = order
        self._site = f"bench/drain-{order}"
        self._live_bytes_s = clip.stat().st_size / CLIP_S * arguments.cameras
        self._watch = Watch()

    async def run(self) -> dict[str, Any]:
        """Fill, drain, compare."""
        size = await asyncio.to_thread(self._fill)
        line_bytes_s = self._live_bytes_s * self._arguments.times
        s3 = urlsplit(need(self._env, "VIGIL_S3_ENDPOINT"))
        watch = self._watch
        async with FaultProxy(
            s3.hostname or "", s3.port or 0, random.Random(1), slow_bytes_s=line_bytes_s
        ) as line:
            if self._arguments.by == "line":
                line.begin("slow", 1.0)
            watch.began_ms = utc_ms()
            config = self._config(line.url, line_bytes_s)
            edge, task = await started(config, NumberedEdge(config, watch.follow))
            within_s = _PATIENCE * size / line_bytes_s + 120
            await self._until_drained(task, within_s)
            drained_s = (watch.drained_ms - watch.began_ms) / 1_000
            say(f"{self._order} first: drained after {drained_s:.1f} s")
            await asyncio.sleep(self._arguments.after_s)
            edge.stop()
            await task
        faults, found = await self._compare()
        for fault in faults[:_MANY]:
            say(f"{self._order} first: {fault}")
        while_, after = watch.waits()
        # Oldest first, live footage comes after all of the backlog, not alongside it.
        live_share = self._live_bytes_s if self._order == "live" else 0
        return {
            "backlog_fragments": len(watch.backlog),
            "backlog_bytes": size,
            "line_kbit": round(line_bytes_s * 8 / 1_000),
            "drained_s": round(drained_s, 1),
            "line_alone_s": round(size / (line_bytes_s - live_share), 1),
            **_spread("live_ms_while_draining", while_),
            **_spread("live_ms_after", after),
            "in_s3": sum(len(stored_run.fragments) for stored_run in found.values()),
            "faults_found": len(faults),
            "clean": not faults,
        }

    def _fill(self) -> int:
        cameras = [f"{self._site}/cam-{at}" for at in range(self._arguments.cameras)]
        cuts = reel.cut(self._clip, FragmentLimits(target_ms=self._arguments.fragment_s * 1_000))
        self._folder.mkdir(parents=True)
        spool = open_spool(self._folder / "spool", "bench", self._config("", 0).spool_limits())
        end_ms = utc_ms() - 2 * LIVE_S * 1_000
        try:
            made = fill(spool, waiting(cameras, cuts, self._arguments.backlog, end_ms), "bench")
        finally:
            spool.close()
        self._watch.backlog = {id_of(event): event for event in made}
        size = sum(event.size_bytes for event in made)
        self._watch.left = len(made)
        say(f"{self._order} first: {len(made)} fragments wait, {size >> 20} MiB")
        return size

    def _config(self, s3: str, line_bytes_s: float) -> EdgeConfig:
        upload: dict[str, Any] = {"order": self._order, "live_s": LIVE_S, "flush_s": 60}
        if self._arguments.by == "limit" and line_bytes_s:
            upload["limit_kbit"] = round(line_bytes_s * 8 / 1_000)
        return EdgeConfig.model_validate(
            {
                "site": self._site,
                "edge": "bench",
                "cloud": {
                    "bucket": need(self._env, "VIGIL_S3_BUCKET"),
                    "queue_url": need(self._env, "VIGIL_SQS_QUEUE_URL"),
                    "region": need(self._env, "AWS_DEFAULT_REGION"),
                    "s3_endpoint": s3 or None,
                    "sqs_endpoint": need(self._env, "VIGIL_SQS_ENDPOINT"),
                },
                "spool": {"dir": str(self._folder / "spool"), "free_floor_bytes": 0},
                "fragment_s": self._arguments.fragment_s,
                "upload": upload,
                "cameras": [
                    {
                        "id": f"cam-{at}",
                        # Two cameras may not have one address, nor close all at one moment.
                        "url": f"{self._clip.as_uri()}?loop=1&offset_ms={at * 1_300}#cam-{at}",
                    }
                    for at in range(self._arguments.cameras)
                ],
            }
        )

    async def _until_drained(self, task: "asyncio.Task[None]", within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        printed_s = time.monotonic()
        while not self._watch.drained_ms:
            if task.done():
                task.result()
                raise VigilError("the edge ended by itself.")
            if time.monotonic() > deadline_s:
                raise VigilError(f"the backlog was not drained within {within_s:.0f} s.")
            if time.monotonic() - printed_s > 30:
                printed_s = time.monotonic()
                say(f"{self._order} first: {self._watch.left} fragments of the backlog are left")
            await asyncio.sleep(_LOOK_S)

    async def _compare(self) -> tuple[list[str], StoredRuns]:
        """Return what is wrong, in words, and what is in S3."""
        region = need(self._env, "AWS_DEFAULT_REGION")
        at_s3, at_sqs = (
            AwsEndpoint(region, need(self._env, f"VIGIL_{name}_ENDPOINT")) for name in ("S3", "SQS")
        )
        async with (
            ObjectStore(at_s3, need(self._env, "VIGIL_S3_BUCKET")) as store,
            Queue(at_sqs, need(self._env, "VIGIL_SQS_QUEUE_URL")) as queue,
        ):
            found = await stored_runs(store, self._site)
            events = [one for one in await drained(queue) if one.key.startswith(self._site)]
        given = self._watch.backlog | self._watch.live
        return [*differences(events, found), *compare(given, found)], found


def compare(given: Mapping[FragmentId, FragmentArrived], found: StoredRuns) -> list[str]:
    """Compare what the spool was given with what is in S3; return what differs, in words."""
    present = {
        FragmentId(camera, run, seq): event
        for (camera, run), stored_run in found.items()
        for seq, event in stored_run.fragments.items()
    }
    faults = [f"lost: {one}" for one in given if one not in present]
    faults += [f"it was never recorded: {one}" for one in present if one not in given]
    faults += [
        f"other bytes stand in S3: {one}"
        for one, event in given.items()
        if one in present and present[one].sha256 != event.sha256
    ]
    faults += [
        f"{run_key} gave up {run.end.given_up}"
        for run_key, run in found.items()
        if run.end is not None and run.end.given_up
    ]
    return faults if given else ["nothing was recorded"]


def _spread(name: str, values: Sequence[float]) -> dict[str, float | int]:
    return spread(name, values) | ({f"{name}_max": round(max(values), 1)} if values else {})
