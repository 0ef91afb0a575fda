"""The process that the kill bench kills: the edge's spool and uploads, fed with tiny fragments.

It tells its parent of each fragment twice: `handed` before the spool gets it, `kept` once it and
its detection are durable. It runs until it is killed, or, told to drain, until nothing waits.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.footage import film
from domain.events import Detection, DetectionFrame, RunStarted
from domain.events.registry import encode
from domain.identity import new_run_id
from edge_bridge.spool.owner import SpoolOwner
from edge_bridge.spool.room import SpoolLimits
from edge_bridge.spool.spool import open_spool
from edge_bridge.upload.config import UploadConfig
from edge_bridge.upload.fragments import FragmentUploads
from edge_bridge.upload.link import Link
from edge_bridge.upload.sender import Sender
from edge_bridge.upload.signal import Signal
from stores.aws import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

DURATION_MS = 1_000
_LONGEST_RUN = 40
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Orders:
    """What the process is to do."""

    spool: Path
    cameras: tuple[str, ...]
    env: Mapping[str, str]
    drain: bool = False


def main(orders: Orders, tell: Connection) -> None:
    """Run until killed or drained."""
    os.environ.update(orders.env)
    asyncio.run(_run(orders, tell))


async def _run(orders: Orders, tell: Connection) -> None:
    work, stored = Signal(), Signal()

    def changed() -> None:
        stored.set()
        work.set()

    limits = SpoolLimits(max_bytes=8 << 30, free_floor_bytes=0, free_floor_s=0)
    owner = SpoolOwner(lambda: open_spool(orders.spool, "bench", limits), changed)
    env = orders.env
    region = env["AWS_DEFAULT_REGION"]
    store = ObjectStore(AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"]), env["VIGIL_S3_BUCKET"])
    queue = Queue(AwsEndpoint(region, env["VIGIL_SQS_ENDPOINT"]), env["VIGIL_SQS_QUEUE_URL"])
    to_s3, to_sqs = Link("s3"), Link("sqs")
    of = UploadConfig()
    async with store, queue:
        uploads = FragmentUploads(
            owner, store, to_s3, stored=stored, put=work, choice=of.choice(),
            bandwidth=of.bandwidth(), parallel=of.parallel(),
        )  # fmt: skip
        sender = Sender(owner, store, queue, to_s3=to_s3, to_sqs=to_sqs, work=work)
        tasks = [asyncio.create_task(uploads.run()), asyncio.create_task(sender.run())]
        if orders.drain:
            while not (await owner.call(owner.spool.counts)).idle:
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)
        else:
            await asyncio.gather(*(_record(one, owner, tell) for one in orders.cameras))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    owner.close()


async def _record(camera: str, owner: SpoolOwner, tell: Connection) -> None:
    while True:
        began_ms = time.time_ns() // 1_000_000
        run = new_run_id(began_ms, os.urandom(10))
        started = RunStarted(camera=camera, run=run, started_ms=began_ms, edge="bench")
        for seq in range(_LONGEST_RUN):
            start_ms = began_ms + seq * DURATION_MS
            event, data = film(camera, run, seq, start_ms=start_ms, duration_ms=DURATION_MS)
            frames = [DetectionFrame(pts=event.start_pts, at_ms=start_ms, objects=[])]
            found = Detection(
                camera=camera, run=run, model="bench", model_version="1", frames=frames
            )
            tell.send(("handed", camera, run, seq))
            owner.fragment(event, data, started)
            owner.message(found.type, encode(found))
            await owner.call(owner.spool.counts)  # comes after both, in the order of asking
            tell.send(("kept", camera, run, seq))
            await asyncio.sleep(_PAUSE_S)
        owner.end_run(run, began_ms + _LONGEST_RUN * DURATION_MS, "bench")
