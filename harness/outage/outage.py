"""The line between a site and the cloud fails in every way; afterwards every frame is counted.

    calm ─ cut ─ calm ─ flaky ─ calm ─ slow ─ … ─ expired          cameras play on all the while
           └ nothing gets through, 5 min by default

Cameras play numbered clips once. S3 and SQS are behind proxies that fail on command; behind those
are the workers and the API of the cloud. At the end the spool drains, and the API is asked. The
pictures of its chunks have each number once, in order. Its detections are those that were put into
the outbox, each once, in order of time. The credentials that expire last stay expired: only new
ones, read from their file, are accepted.
"""

import argparse
import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from domain.errors import VigilError
from domain.identity import fragment_key
from domain.times import utc_ms
from edge_bridge.config import EdgeConfig
from harness import noise_footage as reel
from harness.edge_cloud import StoredRuns, need
from harness.environment import SHORT_WINDOWS, environment, say
from harness.fault_proxy import EXPIRED_KEY, FaultProxy
from harness.figures import spread
from harness.numbered_edge import FPS, NumberedEdge, started, write_clip
from harness.outage.aftermath import Afterwards
from harness.outage.cloud import OutageCloud, open_stack
from harness.outage.faults import CALM_S, OTHERS, Failing
from local.cameras import CameraServer
from media.fragmenter import FragmentLimits
from stores.objects import ObjectStore
from streams.settings import Settings
from streams.storage import make_object_store

SITE = "bench/outage"
LIVE_S = 10
_END_WITHIN_S = 900
_ROOM = 3
"""The line is made to carry so many times what the cameras bring: a backlog takes time."""
_FRAGMENT_S = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--minutes", type=float, default=12, help="minutes of footage (default 12)")
    parser.add_argument("--cut-s", type=float, default=300, help="seconds of the cut (default 300)")
    parser.add_argument("--cameras", type=int, default=4, help="cameras (default 4)")
    parser.add_argument("--rtsp", action="store_true", help="serve the clips by RTSP")
    parser.add_argument(
        "--seed", type=int, help="seed of the times of the resets (default: a new one)"
    )
    parser.add_argument("--data", type=Path, help="folder to keep all data (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Let it all fail, wait until it has drained, compare."""
    seed = random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
    seconds = arguments.minutes * 60
    each_s = (seconds - arguments.cut_s - 2 * CALM_S) / len(OTHERS)
    if each_s < 5 or seconds * FPS > 65_536:
        raise VigilError(
            "--minutes must leave 5 s for each fault except the cut, and be below 109."
        )
    folder = (arguments.data or Path(tempfile.mkdtemp(prefix="vigil-outage-"))).resolve()
    cameras = [f"cam-{at}" for at in range(arguments.cameras)]
    say(f"seed {seed}")
    with open_stack(folder / "stack", say) as stack, environment({**stack.env, **SHORT_WINDOWS}):
        cloud = OutageCloud(stack, folder / "cloud", [f"{SITE}/{name}" for name in cameras])
        site = _Site(folder, stack.env, cameras, random.Random(seed))
        found = asyncio.run(
            site.suffer(cloud, seconds, arguments.cut_s, each_s, rtsp=arguments.rtsp)
        )
    if not found["clean"]:
        say(f"NOT CLEAN. All data and logs are in {folder}; again with --seed {seed}")
    elif arguments.data is None:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "seed": seed, "cameras": arguments.cameras, "minutes": arguments.minutes,
        "cut_s": arguments.cut_s, "each_fault_s": round(each_s * 0.6, 1), "rtsp": arguments.rtsp,
        **found,
    }  # fmt: skip


@dataclass(slots=True)
class _EdgeWatch:
    """What was seen while it ran."""

    began_ms: int = 0
    most_waiting: int = 0
    oldest_s: float = 0.0
    drained_ms: int = 0


class _Site:
    """One run of the bench."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], cameras: Sequence[str], dice: random.Random
    ) -> None:
        self._folder, self._env, self._cameras, self._dice = folder, env, cameras, dice
        self._credentials = folder / "credentials"
        self._watched = _EdgeWatch()

    async def suffer(
        self, cloud: OutageCloud, seconds: float, cut_s: float, each_s: float, *, rtsp: bool
    ) -> dict[str, Any]:
        """Play, fail, drain, compare."""
        clip = self._folder / "clip.mp4"
        await asyncio.to_thread(write_clip, clip, int(seconds * FPS))
        async with cloud:
            self._expire()
            served = await asyncio.to_thread(self._serve, clip) if rtsp else None
            try:
                urls = dict(served.urls) if served else {}
                edge, failing = await self._play(clip, urls, seconds, cut_s, each_s)
            finally:
                if served is not None:
                    await asyncio.to_thread(served.stop)
            return await self._compare(edge, failing, cloud, int(seconds * FPS), rtsp=rtsp)

    def _expire(self) -> None:
        """Let this process have its credentials from a file alone; those will not last."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(self._credentials)
        self._write_credentials(EXPIRED_KEY)

    async def _play(
        self, clip: Path, urls: Mapping[str, str], seconds: float, cut_s: float, each_s: float
    ) -> tuple[NumberedEdge, Failing]:
        s3, sqs = (urlsplit(need(self._env, f"VIGIL_{name}_ENDPOINT")) for name in ("S3", "SQS"))
        async with (
            FaultProxy(s3.hostname or "", s3.port or 0, self._dice) as to_s3,
            FaultProxy(sqs.hostname or "", sqs.port or 0, self._dice, speaks_json=True) as to_sqs,
        ):
            config = self._config(clip, urls, to_s3.url, to_sqs.url, seconds)
            self._watched.began_ms = utc_ms()
            edge, task = await started(config)
            failing = Failing(
                to_s3, to_sqs, say, lambda: self._write_credentials("key-that-is-new")
            )
            watch = asyncio.create_task(self._watch(edge, failing))
            await failing.run(edge, cut_s, each_s)
            await self._until_drained(edge, task)
            watch.cancel()
            edge.stop()
            await task
        return edge, failing

    def _serve(self, clip: Path) -> CameraServer:
        served = [{"name": name, "file": str(clip), "loop": False} for name in self._cameras]
        return CameraServer.start(self._folder / "rtsp", served)  # type: ignore[arg-type]

    def _config(
        self, clip: Path, urls: Mapping[str, str], s3: str, sqs: str, seconds: float
    ) -> EdgeConfig:
        path = urlsplit(need(self._env, "VIGIL_SQS_QUEUE_URL")).path
        # As it travels: MPEG-TS makes several times as much of pictures this small.
        sent = sum(
            len(each.data) for each in reel.cut(clip, FragmentLimits(target_ms=_FRAGMENT_S * 1_000))
        )
        kbit = sent * 8 / 1_000 / seconds * len(self._cameras)
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
                "fragment_s": _FRAGMENT_S,
                "heartbeat_s": 5,
                "upload": {"live_s": LIVE_S, "limit_kbit": max(round(kbit * _ROOM), 64)},
                "cameras": [
                    # Two cameras may not have one address.
                    {
                        "id": name,
                        "url": urls.get(name, f"{clip.as_uri()}?offset_ms=0&loop=0#{name}"),
                    }
                    for name in self._cameras
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

    async def _watch(self, edge: NumberedEdge, failing: Failing) -> None:
        watched = self._watched
        while True:
            counts = await edge.parts.spool.call(lambda spool: spool.counts())
            age_s = 0.0 if counts.oldest_ms is None else (utc_ms() - counts.oldest_ms) / 1_000
            watched.most_waiting = max(watched.most_waiting, counts.stored)
            watched.oldest_s = max(watched.oldest_s, age_s)
            if failing.cut_end_ms and not watched.drained_ms and age_s < LIVE_S:
                watched.drained_ms = utc_ms()
                say(f"the cut's backlog is up {watched.drained_ms - failing.cut_end_ms} ms later")
            await asyncio.sleep(0.25)

    async def _until_drained(self, edge: NumberedEdge, task: "asyncio.Task[None]") -> None:
        deadline_s = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < deadline_s:
            if task.done():
                task.result()
                raise VigilError("the edge ended by itself.")
            counts = await edge.parts.spool.call(lambda spool: spool.counts())
            if edge.played and counts.idle:
                return
            await asyncio.sleep(0.25)
        raise VigilError(f"the spool was not drained within {_END_WITHIN_S} s.")

    async def _compare(
        self, edge: NumberedEdge, failing: Failing, cloud: OutageCloud, frames: int, *, rtsp: bool
    ) -> dict[str, Any]:
        watched = self._watched
        after = Afterwards(cloud, SITE, edge.eyes.reported, watched.began_ms, say)
        figures, found = await after.ask(frames, from_zero=not rtsp)
        async with make_object_store(Settings()) as store:
            between_ms = failing.cut_end_ms, watched.drained_ms
            lags = await _live_lags(store, found, *between_ms)
        faults = figures.pop("faults")
        faults += failing.unfelt()
        for fault in faults[:12]:
            say(fault)
        drain_ms = watched.drained_ms - failing.cut_end_ms if watched.drained_ms else None
        return {
            **figures,
            "detections_sampled_out": edge.eyes.sampled_out,
            "most_waiting": watched.most_waiting,
            "oldest_waiting_s": round(watched.oldest_s, 1),
            "cut_drained_s": None if drain_ms is None else round(drain_ms / 1_000, 1),
            "credentials_renewed_s": failing.renewed_s and round(failing.renewed_s, 1),
            "hit": failing.hit,
            **spread("live_after_cut_ms", lags),
            "clean": not faults,
        }


async def _live_lags(
    store: ObjectStore, found: StoredRuns, from_ms: int, to_ms: int
) -> list[float]:
    """Return closed -> in S3, ms, of what was closed in a stretch. S3 reports whole seconds."""
    closed = {
        fragment_key(camera, run, seq): event.closed_ms
        for (camera, run), stored_run in found.items()
        for seq, event in stored_run.fragments.items()
        if from_ms <= event.closed_ms < to_ms
    }
    return [
        max(float(info.modified_ms - closed[info.key]), 0.0)
        async for info in store.list(f"fragments/{SITE}/")
        if info.key in closed
    ]
