"""The line between a site and the cloud fails in every way; afterwards every frame is counted.

    calm ─ cut ─ calm ─ flaky ─ calm ─ slow ─ … ─ expired          cameras play on all the while
           └ nothing gets through, 5 min by default

Cameras play numbered clips once; S3 and SQS stand behind proxies that are told to fail. At the
end the spool drains, and the pictures in S3 are decoded: each number once, in order. Detections are
compared with what was told to the outbox. The credentials that expire last stay expired: only new
ones, read from their file, get through.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.cloudlet import Cloudlet, Standing, drained, need, said, standing
from bench.fault_proxy import EXPIRED_KEY, Fault, FaultProxy
from bench.figures import spread
from bench.footage import numbers
from bench.site import FPS, NumberedEdge, started, write_clip
from domain.errors import VigilError
from domain.events import AnyEvent, Detection
from edge_bridge.config import EdgeConfig
from local.cameras import Cameras
from stores.aws import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

SITE = "bench/outage"
OTHERS: tuple[tuple[Fault, float], ...] = (
    ("flaky", 0.3), ("slow", 1.0), ("hang", 1.0), ("error", 1.0), ("busy", 1.0), ("expired", 1.0),
)  # fmt: skip
LIVE_S = 10
_CALM_S = 5.0
_END_WITHIN_S = 900
_ROOM = 3
"""The line is made to carry so many times what the cameras bring: a backlog takes time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--minutes", type=float, default=12, help="of footage (default 12)")
    parser.add_argument("--cut-s", type=float, default=300, help="length of the cut (default 300)")
    parser.add_argument("--cameras", type=int, default=4, help="cameras (default 4)")
    parser.add_argument("--rtsp", action="store_true", help="serve the clips by RTSP")
    parser.add_argument("--seed", type=int, help="of the resets (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let it all fail, wait until it has drained, compare."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    seconds = arguments.minutes * 60
    each_s = (seconds - arguments.cut_s - 2 * _CALM_S) / len(OTHERS)
    if each_s < 5 or seconds * FPS > 65_536:
        raise VigilError(
            "--minutes must leave 5 s for each fault beside the cut, and be below 109."
        )
    with (
        tempfile.TemporaryDirectory(prefix="vigil-outage-") as scratch,
        Cloudlet(Path(scratch) / "data", _say, any_key=True) as cloud,
    ):
        site = _Site(Path(scratch), dict(cloud.env), arguments.cameras, random.Random(seed))
        found = asyncio.run(site.suffer(seconds, arguments.cut_s, each_s, rtsp=arguments.rtsp))
    return {
        "seed": seed, "cameras": arguments.cameras, "minutes": arguments.minutes,
        "cut_s": arguments.cut_s, "each_fault_s": round(each_s * 0.6, 1), "rtsp": arguments.rtsp,
        **found,
    }  # fmt: skip


@dataclass(slots=True)
class _Watched:
    """What was seen while it ran."""

    most_waiting: int = 0
    oldest_s: float = 0.0
    cut_end_ms: int = 0
    drained_ms: int = 0
    renewed_s: float | None = None
    hit: dict[str, int] = field(default_factory=dict)


class _Site:
    """One run of the bench."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], cameras: int, dice: random.Random
    ) -> None:
        self._folder, self._env, self._cameras, self._dice = folder, env, cameras, dice
        self._credentials = folder / "credentials"
        self._watched = _Watched()

    async def suffer(
        self, seconds: float, cut_s: float, each_s: float, *, rtsp: bool
    ) -> dict[str, Any]:
        """Play, fail, drain, compare."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(self._credentials)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        self._write_credentials(EXPIRED_KEY)
        clip = self._folder / "clip.mp4"
        await asyncio.to_thread(write_clip, clip, int(seconds * FPS))
        served = await asyncio.to_thread(self._serve, clip) if rtsp else None
        urls = dict(served.urls) if served else {}
        try:
            s3, sqs = (
                urlsplit(need(self._env, f"VIGIL_{name}_ENDPOINT")) for name in ("S3", "SQS")
            )
            async with (
                FaultProxy(s3.hostname or "", s3.port or 0, self._dice) as to_s3,
                FaultProxy(
                    sqs.hostname or "", sqs.port or 0, self._dice, speaks_json=True
                ) as to_sqs,
            ):
                config = self._config(clip, urls, to_s3.url, to_sqs.url, seconds)
                edge, task = await started(config)
                watch = asyncio.create_task(self._watch(edge))
                await self._fail((to_s3, to_sqs), edge, cut_s, each_s)
                await self._until_drained(edge, task)
                watch.cancel()
                edge.stop()
                await task
        finally:
            if served is not None:
                await asyncio.to_thread(served.stop)
        return await self._compare(edge, int(seconds * FPS), rtsp=rtsp)

    def _serve(self, clip: Path) -> Cameras:
        served = [
            {"name": f"cam-{at}", "file": str(clip), "loop": False} for at in range(self._cameras)
        ]
        return Cameras.start(self._folder / "rtsp", served)  # type: ignore[arg-type]

    def _config(
        self, clip: Path, urls: Mapping[str, str], s3: str, sqs: str, seconds: float
    ) -> EdgeConfig:
        path = urlsplit(need(self._env, "VIGIL_SQS_QUEUE_URL")).path
        names = [f"cam-{at}" for at in range(self._cameras)]
        kbit = clip.stat().st_size * 8 / 1_000 / seconds * self._cameras
        return EdgeConfig.model_validate(
            {
                "site": SITE,
                "edge": "bench",
                "cloud": {
                    "bucket": need(self._env, "VIGIL_S3_BUCKET"),
                    "queue_url": sqs + path,
                    "region": need(self._env, "AWS_DEFAULT_REGION"),
                    "s3_endpoint": s3,
                    "sqs_endpoint": sqs,
                },
                "spool": {"dir": str(self._folder / "spool"), "free_floor_bytes": 0},
                "fragment_s": 2,
                "heartbeat_s": 5,
                "upload": {"live_s": LIVE_S, "limit_kbit": max(int(kbit * _ROOM), 64)},
                "cameras": [
                    # Two cameras may not have one address.
                    {
                        "id": name,
                        "url": urls.get(name, f"{clip.as_uri()}?offset_ms=0&loop=0#{name}"),
                    }
                    for name in names
                ],
            }
        )

    def _write_credentials(self, key: str) -> None:
        part = self._credentials.with_suffix(".part")
        part.write_text(
            "[default]\n"
            f"aws_access_key_id = {key}\n"
            f"aws_secret_access_key = {need(self._env, 'AWS_SECRET_ACCESS_KEY')}\n"
        )
        part.rename(self._credentials)

    async def _fail(
        self,
        proxies: tuple[FaultProxy, FaultProxy],
        edge: NumberedEdge,
        cut_s: float,
        each_s: float,
    ) -> None:
        await asyncio.sleep(_CALM_S)
        plan: list[tuple[Fault, float, float]] = [("cut", 1.0, cut_s)]
        plan += [(fault, share, each_s * 0.6) for fault, share in OTHERS]
        for fault, share, for_s in plan:
            _say(f"{fault} for {for_s:.0f} s")
            before = sum(proxy.hit for proxy in proxies)
            for proxy in proxies:
                proxy.begin(fault, share)
            if fault == "expired":
                await asyncio.sleep(for_s / 2)
                self._write_credentials("key-that-is-new")
                await self._renewed(edge)
            else:
                await asyncio.sleep(for_s)
                for proxy in proxies:
                    proxy.end()
            self._watched.hit[fault] = sum(proxy.hit for proxy in proxies) - before
            if fault == "cut":
                self._watched.cut_end_ms = _now_ms()
            await asyncio.sleep(each_s * 0.4)

    async def _renewed(self, edge: NumberedEdge) -> None:
        began_s = time.monotonic()
        while not edge.links_up:
            if edge.stopping or time.monotonic() - began_s > _END_WITHIN_S:
                raise VigilError("the edge did not read its new credentials, or was stopped.")
            await asyncio.sleep(0.1)
        self._watched.renewed_s = time.monotonic() - began_s

    async def _watch(self, edge: NumberedEdge) -> None:
        watched = self._watched
        while True:
            counts = await edge.owner.call(edge.owner.spool.counts)
            age_s = 0.0 if counts.oldest_ms is None else (_now_ms() - counts.oldest_ms) / 1_000
            watched.most_waiting = max(watched.most_waiting, counts.stored)
            watched.oldest_s = max(watched.oldest_s, age_s)
            if watched.cut_end_ms and not watched.drained_ms and age_s < LIVE_S:
                watched.drained_ms = _now_ms()
                _say(f"the cut's backlog is up {watched.drained_ms - watched.cut_end_ms} ms later")
            await asyncio.sleep(0.25)

    async def _until_drained(self, edge: NumberedEdge, task: "asyncio.Task[None]") -> None:
        deadline_s = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < deadline_s:
            if task.done():
                task.result()
                raise VigilError("the edge ended by itself.")
            counts = await edge.owner.call(edge.owner.spool.counts)
            if edge.played and counts.idle:
                return
            await asyncio.sleep(0.25)
        raise VigilError(f"the spool was not drained within {_END_WITHIN_S} s.")

    async def _compare(self, edge: NumberedEdge, frames: int, *, rtsp: bool) -> dict[str, Any]:
        self._write_credentials("key-that-is-new")
        region = need(self._env, "AWS_DEFAULT_REGION")
        at_s3 = AwsEndpoint(region, need(self._env, "VIGIL_S3_ENDPOINT"))
        at_sqs = AwsEndpoint(region, need(self._env, "VIGIL_SQS_ENDPOINT"))
        async with (
            ObjectStore(at_s3, need(self._env, "VIGIL_S3_BUCKET")) as store,
            Queue(at_sqs, need(self._env, "VIGIL_SQS_QUEUE_URL")) as queue,
        ):
            events = await drained(queue)
            found = await standing(store, SITE)
            shown = await _shown(store, found)
            lags = await self._live_lags(store, found)
        faults = said(events, found)
        counted = count_frames(shown, frames, from_zero=not rtsp)
        seen = count_detections(events, edge.eyes.told)
        if counted["frames_lost"] or counted["frames_doubled"] or seen["detections_lost"]:
            faults.append("frames or detections are lost or doubled")
        for fault in faults[:12]:
            _say(fault)
        watched = self._watched
        drain_ms = watched.drained_ms - watched.cut_end_ms if watched.drained_ms else None
        return {
            **counted,
            **seen,
            "given_up": sum(len(run.end.given_up) for run in found.values() if run.end),
            "most_waiting": watched.most_waiting,
            "oldest_waiting_s": round(watched.oldest_s, 1),
            "cut_drained_s": None if drain_ms is None else round(drain_ms / 1_000, 1),
            "credentials_renewed_s": watched.renewed_s and round(watched.renewed_s, 1),
            "connections_hit": watched.hit,
            **spread("live_after_cut_ms", lags),
            "clean": not faults,
        }

    async def _live_lags(self, store: ObjectStore, found: Standing) -> list[float]:
        """Return closed -> in S3 of what was recorded while the cut's backlog drained, ms.

        S3 tells whole seconds.
        """
        closed = {
            f"fragments/{camera}/{run}/{seq:08d}.ts": event.closed_ms
            for (camera, run), of in found.items()
            for seq, event in of.fragments.items()
            if self._watched.cut_end_ms <= event.closed_ms < self._watched.drained_ms
        }
        return [
            max(float(info.modified_ms - closed[info.key]), 0.0)
            async for info in store.list(f"fragments/{SITE}/")
            if info.key in closed
        ]


async def _shown(store: ObjectStore, found: Standing) -> dict[str, list[list[int]]]:
    """Return the numbers of the pictures in S3: camera -> run, in order of time -> numbers."""
    shown: dict[str, list[list[int]]] = {}
    for (camera, run), of in sorted(found.items()):
        data = [
            await store.get(f"fragments/{camera}/{run}/{seq:08d}.ts")
            for seq in sorted(of.fragments)
        ]
        pictures = await asyncio.to_thread(numbers, b"".join(data))
        shown.setdefault(camera, []).append(pictures)
    return shown


def count_frames(
    shown: Mapping[str, list[list[int]]], frames: int, *, from_zero: bool
) -> dict[str, int]:
    """Compare the pictures' numbers with 0..frames-1; served by RTSP, with what the first run
    began with, for each new connection plays anew.
    """
    total = lost = doubled = disordered = 0
    for runs in shown.values():
        counted = [number for run in (runs if from_zero else runs[:1]) for number in run]
        unique = set(counted)
        wanted = set(range(frames)) if from_zero else set(range(min(unique), max(unique) + 1))
        total += len(counted)
        lost += len(wanted - unique)
        doubled += len(counted) - len(unique)
        disordered += counted != sorted(counted)
    return {
        "frames": total, "frames_lost": lost, "frames_doubled": doubled,
        "cameras_out_of_order": disordered,
    }  # fmt: skip


def count_detections(
    events: list[AnyEvent], told: Mapping[tuple[str, str], list[int]]
) -> dict[str, int]:
    """Compare detections in the queue with what was told to the outbox."""
    arrived: dict[tuple[str, str], list[int]] = {}
    for event in events:
        if isinstance(event, Detection):
            arrived.setdefault((event.camera, event.run), []).append(event.frames[0].pts)
    lost = again = unknown = disordered = 0
    for of in set(arrived) | set(told):
        here, wanted = arrived.get(of, []), told.get(of, [])
        first = list(dict.fromkeys(here))
        lost += len(set(wanted) - set(here))
        unknown += len(set(here) - set(wanted))
        again += len(here) - len(first)
        disordered += sum(one > other for one, other in pairwise(first))
    return {
        "detections": sum(map(len, told.values())), "detections_lost": lost,
        "detections_unknown": unknown, "detections_sent_again": again,
        "detections_out_of_order": disordered,
    }  # fmt: skip


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
