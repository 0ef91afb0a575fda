"""A recorder as a process in a namespace, and what it has put into S3 behind the VPN."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import yaml

from harness import noise_footage
from harness.edge_cloud import StoredRuns, differences, drained, stored_runs
from harness.environment import environment
from local.folder import project_root
from local.program import vigil
from media.fragmenter import FragmentLimits
from stores.aws_endpoint import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue
from tests.footage import numbers_in
from tests.infra.edge_site import Namespace
from tests.lab.cloud import LabCloud, inside
from tests.lab.vpn import INSIDE

SITE = "acme/berlin"
FRAGMENT_S, LIVE_S = 2, 10


class RecordingEdge:
    """Its footage in S3, seen from the cloud's end."""

    def __init__(self, cloud: LabCloud, work: Path) -> None:
        self._cloud, self._work = cloud, work
        self.closed: dict[int, int] = {}
        """seq -> UTC ms at which it was closed, in the order in which they came to S3."""

    @asynccontextmanager
    async def _stores(self) -> AsyncIterator[tuple[ObjectStore, Queue]]:
        env = self._cloud.env
        region = env["AWS_DEFAULT_REGION"]
        async with (
            ObjectStore(AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"]), env["VIGIL_S3_BUCKET"]) as s,
            Queue(AwsEndpoint(region, env["VIGIL_SQS_ENDPOINT"]), env["VIGIL_SQS_QUEUE_URL"]) as q,
        ):
            yield s, q

    def _stored(self) -> StoredRuns:
        async def reading() -> StoredRuns:
            async with self._stores() as (store, _):
                return await stored_runs(store, SITE)

        with inside(self._cloud.space), environment(self._cloud.env):
            return asyncio.run(reading())

    def look(self) -> int:
        """Note what is new in S3; return how many fragments are there."""
        for run in self._stored().values():
            new = {seq: event.closed_ms for seq, event in run.fragments.items()}
            # Of what came between two answers the oldest counts as first: that proves less.
            for seq in sorted(new.keys() - self.closed.keys()):
                self.closed[seq] = new[seq]
        return len(self.closed)

    def watch(self, count: int, within_s: float) -> None:
        """Wait until so many fragments are in S3."""
        deadline = time.monotonic() + within_s
        while self.look() < count:
            assert time.monotonic() < deadline, (self._work / "edge.log").read_text()[-2_000:]
            time.sleep(0.1)

    def watch_until_drained(self, within_s: float) -> None:
        """Wait until no seq is missing below the newest, and the newest is new."""
        deadline = time.monotonic() + within_s
        while self.look() <= max(self.closed) or (
            time.time_ns() // 1_000_000 - max(self.closed.values()) > 4_000 * FRAGMENT_S
        ):
            assert time.monotonic() < deadline, (self._work / "edge.log").read_text()[-2_000:]
            time.sleep(0.1)

    def faults(self) -> list[str]:
        """Compare notices and ends in the queue with what S3 holds; return what differs."""

        async def comparing() -> list[str]:
            async with self._stores() as (store, queue):
                events = [one for one in await drained(queue) if one.key.startswith(SITE)]
                return differences(events, await stored_runs(store, SITE))

        with inside(self._cloud.space), environment(self._cloud.env):
            return asyncio.run(comparing())

    def numbers(self) -> list[list[int]]:
        """Return the numbers of the pictures in S3: run by run."""

        async def reading() -> list[bytes]:
            async with self._stores() as (store, _):
                return [
                    b"".join(
                        [
                            await store.get(f"fragments/{name}/{run}/{seq:08d}.ts")
                            for seq in sorted(stored.fragments)
                        ]
                    )
                    for (name, run), stored in sorted((await stored_runs(store, SITE)).items())
                ]

        with inside(self._cloud.space), environment(self._cloud.env):
            found = asyncio.run(reading())
        numbers = []
        for data in found:
            path = self._work / "run.ts"
            path.write_bytes(data)
            numbers.append([number for number in numbers_in(path) if number is not None])
        return numbers


@contextmanager
def recording(
    space: Namespace, cloud: LabCloud, url: str, clip: Path, work: Path
) -> Iterator[RecordingEdge]:
    """Record a camera in a namespace; at the end let the recorder finish."""
    sent = sum(
        len(each.data)
        for each in noise_footage.cut(clip, FragmentLimits(target_ms=FRAGMENT_S * 1_000))
    )
    seconds = 300
    env = cloud.env
    config = {
        "site": SITE,
        "edge": "edge-1",
        "cloud": {
            "bucket": env["VIGIL_S3_BUCKET"],
            "queue_url": env["VIGIL_SQS_QUEUE_URL"].replace("127.0.0.1", INSIDE),
            "region": env["AWS_DEFAULT_REGION"],
            "s3_endpoint": env["VIGIL_S3_ENDPOINT"].replace("127.0.0.1", INSIDE),
            "sqs_endpoint": env["VIGIL_SQS_ENDPOINT"].replace("127.0.0.1", INSIDE),
        },
        "spool": {"dir": str(work / "spool"), "free_floor_bytes": 0},
        "fragment_s": FRAGMENT_S,
        # A line of three times the camera's rate: a backlog takes time.
        "upload": {"live_s": LIVE_S, "limit_kbit": max(3 * sent * 8 // 1_000 // seconds, 64),
                   "flush_s": 60},
        "cameras": [{"id": "gate", "url": url}],
    }  # fmt: skip
    (work / "edge.yaml").write_text(yaml.safe_dump(config))
    log = (work / "edge.log").open("wb")
    process = subprocess.Popen(
        ["ip", "netns", "exec", space.name, sys.executable,
         *vigil("edge", "run", "--config", str(work / "edge.yaml"))],
        cwd=project_root(), env={**os.environ, **env}, stdin=subprocess.DEVNULL,
        stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    log.close()
    try:
        yield RecordingEdge(cloud, work)
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0, (work / "edge.log").read_text()[-2_000:]
    finally:
        process.kill()
        process.wait()
