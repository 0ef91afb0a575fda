"""Does an edge stay as it was? Memory, threads and open files of a long run, everything at work.

    RTSP server ──► vigil edge run (capture, spool, uploads) ──► proxies ──► S3, SQS
                        └─► its inference process                   └ cut now and then

Each camera's decoder and each size of a batch take their memory when they are first needed: that is
the warm-up. Then the edge's process and its child, the inference process, are measured every few
seconds, apart. Growth is the slope of a line through the memory of the last three quarters, by
least squares.
"""

import argparse
import asyncio
import itertools
import math
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from domain.errors import VigilError
from domain.events import Detection, FragmentArrived
from edge_bridge.config.inference import HOG
from harness.detector_material import write_model
from harness.edge_cloud import EdgeCloud, drained, need, stored_runs
from harness.environment import environment, say
from harness.fault_proxy import FaultProxy
from harness.soak.figures import UsageSample, figures
from harness.usage import Usage, usage
from local.cameras import CameraServer, ServedCamera
from local.clips import CLIPS, prepare
from local.folder import DataFolder
from local.ports import HOST, Ports
from local.program import Program, vigil
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

SITE = "bench/soak"
EVERY_S = 2.0
WARM_S = 20.0
_WARM_WITHIN_S = 240.0
_SETTLED_MIB = 8.0
"""Warm: in WARM_S the memory of neither grew by more. What grows on and on is warm too late."""
CUTS = 6
CUT_PART = 0.25
"""The line is cut so many times, each for so much of the time until the next cut."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("--minutes", type=float, default=30, help="minutes to run (default 30)")
    parser.add_argument("--cameras", type=int, default=8, help="cameras (default 8)")
    parser.add_argument(
        "--rate", type=float, default=0.5, help="pictures a second to analyse (default 0.5)"
    )
    parser.add_argument(
        "--model",
        default="",
        help=f"model card, or {HOG} (default: an ONNX model with random weights)",
    )
    parser.add_argument("--data", type=Path, help="folder to keep all data (default: a new one)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the edge and return how much of the machine it used."""
    folder = (arguments.data or Path(tempfile.mkdtemp(prefix="vigil-soak-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"cam-{number}" for number in range(arguments.cameras)]
    clips = itertools.cycle([str(prepare(clip, say)) for clip in CLIPS])
    cameras: list[ServedCamera] = [
        {"name": name, "file": next(clips), "offset_ms": 1_700 * number}
        for number, name in enumerate(names)
    ]
    model = arguments.model or str(write_model(folder))
    inference = {"enabled": True, "model": model, "rate_fps": arguments.rate}
    try:
        with (
            EdgeCloud(folder / "cloud", say) as cloud,
            environment(cloud.env),
            CameraServer.start(folder / "cameras", cameras) as served,
        ):
            soak = _Soak(folder / "edge", dict(cloud.env), dict(served.urls), inference)
            found = asyncio.run(soak.run(arguments.minutes * 60))
    finally:
        if arguments.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    return {"cameras": len(names), "minutes": arguments.minutes, "model": model} | found


class _Soak:
    """One run of the bench."""

    def __init__(
        self, folder: Path, env: dict[str, str], urls: dict[str, str], inference: dict[str, Any]
    ) -> None:
        self._folder, self._env, self._urls, self._inference = folder, env, urls, inference

    async def run(self, seconds: float) -> dict[str, Any]:
        """Watch an edge for so long; return the figures."""
        s3, sqs = (urlsplit(need(self._env, f"VIGIL_{name}_ENDPOINT")) for name in ("S3", "SQS"))
        dice = random.Random(1)
        async with (
            FaultProxy(s3.hostname or "", s3.port or 0, dice) as to_s3,
            FaultProxy(sqs.hostname or "", sqs.port or 0, dice, speaks_json=True) as to_sqs,
        ):
            program = self._edge(to_s3.url, to_sqs.url)
            await asyncio.to_thread(program.launch)
            try:
                warm_s = await _warmed(program)
                cutting = asyncio.create_task(_cut((to_s3, to_sqs), seconds))
                samples = await _watched(program, seconds)
                cutting.cancel()
                await asyncio.gather(cutting, return_exceptions=True)
                sampled = await self._sampled()
                for proxy in (to_s3, to_sqs):
                    proxy.end()
            finally:
                await asyncio.to_thread(program.process.stop)
            felt = to_s3.done["cut"] + to_sqs.done["cut"]
        arrived = await self._arrived()
        cut = {"cuts": CUTS, "connections_cut": felt}
        return {"warm_after_s": round(warm_s)} | figures(samples) | arrived | sampled | cut

    def _edge(self, s3: str, sqs: str) -> Program:
        data = DataFolder(self._folder)
        data.open(fresh=True)
        self._port = Ports(data).take("edge")
        config = {
            "http": {"host": HOST, "port": self._port},
            "site": SITE,
            "edge": "bench",
            "cloud": {
                "bucket": need(self._env, "VIGIL_S3_BUCKET"),
                "queue_url": sqs + urlsplit(need(self._env, "VIGIL_SQS_QUEUE_URL")).path,
                "s3_endpoint": s3,
                "sqs_endpoint": sqs,
            },
            # Small, so that space is made all the while, as on a device that has run for weeks.
            "spool": {"dir": str(self._folder / "spool"), "free_floor_bytes": 0, "free_floor_s": 0,
                      "max_bytes": "128 MiB"},
            "cameras": [{"id": name, "url": url} for name, url in self._urls.items()],
            "inference": self._inference,
        }  # fmt: skip
        path = self._folder / "edge.yaml"
        path.write_text(yaml.safe_dump(config))
        command = vigil("edge", "run", "--config", str(path))
        return Program("edge", command, data, {**os.environ, **self._env}, stop_within_s=60)

    async def _sampled(self) -> dict[str, dict[str, int]]:
        """Return what became of the pictures that were sampled, as the edge's metrics say."""
        async with aiohttp.request("GET", f"http://{HOST}:{self._port}/metrics") as answer:
            text = await answer.text()
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "vigil_inference_pictures_total":
                    found[sample.labels["outcome"]] += round(sample.value)
        return {"pictures_sampled": dict(found)}

    async def _arrived(self) -> dict[str, int]:
        """Return what reached the cloud: proof that all was at work."""
        env = self._env
        region = need(env, "AWS_DEFAULT_REGION")
        at_s3, at_sqs = (
            AwsEndpoint(region, need(env, f"VIGIL_{name}_ENDPOINT")) for name in ("S3", "SQS")
        )
        async with (
            ObjectStore(at_s3, need(env, "VIGIL_S3_BUCKET")) as store,
            Queue(at_sqs, need(env, "VIGIL_SQS_QUEUE_URL")) as queue,
        ):
            events = await drained(queue)
            stored = await stored_runs(store, SITE)
        detections = [event for event in events if isinstance(event, Detection)]
        return {
            "fragments": sum(len(run.fragments) for run in stored.values()),
            "notices": sum(isinstance(event, FragmentArrived) for event in events),
            "given_up": sum(len(run.end.given_up) for run in stored.values() if run.end),
            "pictures_reported": sum(len(event.frames) for event in detections),
            "objects": sum(len(frame.objects) for event in detections for frame in event.frames),
        }


async def _cut(proxies: Sequence[FaultProxy], seconds: float) -> None:
    period_s = seconds / CUTS
    while True:
        await asyncio.sleep(period_s * (1 - CUT_PART))
        for proxy in proxies:
            proxy.begin("cut", 1.0)
        await asyncio.sleep(period_s * CUT_PART)
        for proxy in proxies:
            proxy.end()


async def _warmed(program: Program) -> float:
    """Wait until the edge has all the memory that it needs, or long enough; return seconds."""
    began_s = time.monotonic()
    was: UsageSample | None = None
    while True:
        say("warming up" if was is None else f"warming up: {was.edge}\n            {was.inference}")
        await asyncio.sleep(WARM_S)
        now = await asyncio.to_thread(_sample, 0.0, _running(program))
        grown = math.inf
        if was is not None and was.children == now.children:
            grown = max(
                now.edge.memory_mib - was.edge.memory_mib,
                now.inference.memory_mib - was.inference.memory_mib,
            )
        was, warm_s = now, time.monotonic() - began_s
        if (now.children and grown < _SETTLED_MIB) or warm_s > _WARM_WITHIN_S:
            return warm_s


def _running(program: Program) -> int:
    if (pid := program.process.pid) is None:
        raise VigilError(f"The edge ended:\n{program.process.tail(10)}")
    return pid


async def _watched(program: Program, seconds: float) -> list[UsageSample]:
    """Return samples of the given time from now on."""
    began_s = time.monotonic()
    samples: list[UsageSample] = []
    while (at_s := time.monotonic() - began_s) < seconds:
        samples.append(await asyncio.to_thread(_sample, at_s, _running(program)))
        if len(samples) % 15 == 1:
            say(f"{at_s:5.0f} s  {samples[-1].edge}\n         {samples[-1].inference}")
        await asyncio.sleep(EVERY_S)
    return samples


def _sample(at_s: float, pid: int) -> UsageSample:
    both = usage([pid])
    below = [child.pid for child in psutil.Process(pid).children()]
    inference = _alive(below)
    edge = Usage(
        *(all_ - theirs for all_, theirs in zip(astuple(both), astuple(inference), strict=True))
    )
    return UsageSample(at_s, edge, inference, frozenset(below))


def _alive(pids: Sequence[int]) -> Usage:
    try:
        return usage(pids)
    except VigilError:  # a process was replaced just then
        return usage([pid for pid in pids if psutil.pid_exists(pid)])
