"""The process that the kill bench kills: an edge's cameras, spool and uploads, at a fast pace.

    clip ──► recorder ──► spool ──► uploads, sender            reports to its parent, step by step:
      │         └ fragment of 5 pictures: `handed` before the spool gets it, `kept` once durable
      └ picture: `shown`; every fifth has a detection: `noted` once it is durable

It runs until it is killed, or, when it drains, until nothing waits.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from domain.events import Detection, DetectionFrame, FragmentArrived, RunStarted
from domain.events.registry import encode
from domain.times import utc_ms
from edge_bridge.capture.clip_source import ClipSource
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import RecordingContext
from edge_bridge.capture.source import ClipEndedError, OnWait
from edge_bridge.config import CameraConfig
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.config.upload import UploadConfig
from edge_bridge.encoded_frame import EncodedFrame
from edge_bridge.rtsp.errors import CameraError
from edge_bridge.spool.spool import Spool, open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.concurrency import ConcurrencyLimit
from edge_bridge.upload.link import Link
from edge_bridge.upload.outbox_sender import OutboxSender
from edge_bridge.upload.scheduler import UploadScheduler
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from harness.kill.marks import Marks
from media.fragmenter import FragmentLimits
from media.packet import AnyPacket
from stores.aws_endpoint import AwsEndpoint
from stores.signed_objects import SignedObjectStore
from stores.signed_queue import SignedQueue

PICTURES = 5
"""Of one fragment."""
FPS = 50
CLIP_PICTURES = 2 * FPS
"""A camera plays its clip once, hangs up and is connected again."""

Word = tuple[Literal["shown", "handed", "kept", "noted"], str, str, int, str]
"""What happened; camera, run; the picture's number, the fragment's seq or the detection's PTS;
of a fragment that is handed over, the SHA-256 of its bytes."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the process is to do."""

    spool: Path
    marks: Path
    clip: Path
    cameras: tuple[str, ...]
    env: Mapping[str, str]
    drain: bool = False


def main(orders: Orders, reports: Connection) -> None:
    """Run until killed or drained."""
    os.environ.update(orders.env)
    asyncio.run(_run(orders, reports))


async def _run(orders: Orders, reports: Connection) -> None:
    work, stored = Wakeup(), Wakeup()

    def changed() -> None:
        stored.set()
        work.set()

    limits = SpoolLimits(max_bytes=8 << 30, free_floor_bytes=0, free_floor_s=0)
    marks = Marks(orders.marks)
    env = orders.env
    region = env["AWS_DEFAULT_REGION"]
    store = SignedObjectStore(AwsEndpoint(region, env["VIGIL_S3_ENDPOINT"]), env["VIGIL_S3_BUCKET"])
    queue = SignedQueue(AwsEndpoint(region, env["VIGIL_SQS_ENDPOINT"]), env["VIGIL_SQS_QUEUE_URL"])

    def opened() -> Spool:
        spool = open_spool(orders.spool, "bench", limits, background_recovery=True)
        _mark(marks, spool, store, queue)
        return spool

    with marks.at("mending"):
        owner = SpoolThread(opened, changed)
    to_s3, to_sqs = Link("s3"), Link("sqs")
    config = UploadConfig()
    async with store, queue:
        uploads = FragmentUploader(
            owner, store, to_s3, stored=stored, uploaded=work,
            scheduler=UploadScheduler.from_config(config),
            bandwidth=BandwidthLimiter.from_config(config),
            concurrency=ConcurrencyLimit.from_config(config),
        )  # fmt: skip
        sender = OutboxSender(owner, store, queue, to_s3=to_s3, to_sqs=to_sqs, work=work)
        tasks = [asyncio.create_task(uploads.run()), asyncio.create_task(sender.run())]
        if orders.drain:
            while not (await owner.call(lambda spool: spool.counts())).idle:
                for task in tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.05)
        else:
            _record(orders, owner, _Reporter(reports))
            await asyncio.gather(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(owner.close)


def _mark(marks: Marks, spool: Spool, store: SignedObjectStore, queue: SignedQueue) -> None:
    """Set a mark around methods, so that marks show the phase of the work."""
    begin, put_once, send = spool.journal.transaction, store.put_once, queue.send

    @contextlib.contextmanager
    def transaction() -> Iterator[None]:
        with marks.at("journal"), begin():
            yield

    async def put(*args: Any, **kwargs: Any) -> bool:
        with marks.at("upload"):
            return await put_once(*args, **kwargs)

    async def sent(*args: Any, **kwargs: Any) -> Any:
        with marks.at("send"):
            return await send(*args, **kwargs)

    laid: list[tuple[object, str, Callable[..., Any]]] = [
        (spool.files, "append", marks.around("fragment", spool.files.append)),
        (spool.files, "complete", marks.around("fragment", spool.files.complete)),
        (spool.journal, "transaction", transaction),
        (spool, "recover", marks.around("mending", spool.recover)),
        (spool, "uploaded", marks.around("journal", spool.uploaded)),
        (store, "put_once", put),
        (queue, "send", sent),
    ]
    for target, name, method in laid:
        setattr(target, name, method)


class _Reporter:
    """Reports to the parent, from any thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def report(self, word: Word) -> None:
        with self._lock:
            self._pipe.send(word)


def _record(orders: Orders, owner: SpoolThread, reporter: _Reporter) -> None:
    watched = _WatchedSpool(owner, reporter, asyncio.get_running_loop())
    for camera in orders.cameras:
        recording = RecordingContext(
            camera=camera,
            edge="bench",
            stream="main",
            limits=FragmentLimits(target_ms=1_000 * PICTURES // FPS),
            sink=watched,
            frame_sink=watched,
            now_ms=utc_ms,
        )
        config = CameraConfig(id=camera.rsplit("/", 1)[-1], url=orders.clip.as_uri())
        Recorder(config, recording, 10, opener=_opened).start()


def _opened(
    camera: CameraConfig,
    _no_data_s: float,
    stop: threading.Event,
    now_ms: Callable[[], int],
    _on_wait: OnWait,
) -> "_Camera":
    return _Camera(camera.url, False, stop, now_ms)


class _Camera(ClipSource):
    """A clip whose end is a camera that hangs up: it is connected again."""

    def packets(self) -> Iterator[tuple[AnyPacket, int]]:
        """Yield its packets."""
        try:
            yield from super().packets()
        except ClipEndedError:
            raise CameraError("the camera hung up") from None


class _WatchedSpool:
    """Between the cameras' threads and the spool; it sees pictures as inference does.

    A camera waits until its fragment is durable, so that one fragment at most is being written.
    """

    def __init__(
        self, owner: SpoolThread, reporter: _Reporter, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._owner = owner
        self._reporter = reporter
        self._loop = loop
        self._shown: dict[str, int] = {}

    def piece(self, camera: str, run: str, seq: int, data: bytes | bytearray) -> None:
        """Have bytes of a growing fragment written."""
        self._owner.piece(camera, run, seq, data)

    def discard(self, camera: str, run: str, seq: int) -> None:
        """Have a growing fragment discarded."""
        self._owner.discard(camera, run, seq)

    def fragment(
        self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted
    ) -> None:
        """Have a fragment stored, in pieces, and wait for that."""
        run_key = event.camera, event.run
        self._reporter.report(("handed", *run_key, event.seq, event.sha256))
        third = len(data) // 3
        for piece in (data[:third], data[third : 2 * third]):
            self._owner.piece(*run_key, event.seq, piece)
        self._owner.fragment(event, data[2 * third :], started)
        self._then(("kept", *run_key, event.seq, "")).result()

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Have a run ended."""
        self._owner.end_run(run, ended_ms, reason)

    def offer(self, picture: EncodedFrame) -> bool:
        """Count a picture; the first of a fragment has a detection."""
        number = self._shown.get(picture.run, 0)
        self._shown[picture.run] = number + 1
        run_key = picture.camera, picture.run
        self._reporter.report(("shown", *run_key, number, ""))
        if number % PICTURES == 0:
            frames = [DetectionFrame(pts=picture.pts, at_ms=picture.at_ms, objects=[])]
            found = Detection(
                camera=run_key[0], run=run_key[1], model="bench", model_version="1", frames=frames
            )
            self._owner.message(found.type, encode(found))
            self._then(("noted", *run_key, picture.pts, ""))
        return True

    def _then(self, word: Word) -> "Future[None]":
        """Report it once all that the spool was asked for before is durable."""

        async def durable() -> None:
            await self._owner.call(lambda spool: spool.counts())
            self._reporter.report(word)

        return asyncio.run_coroutine_threadsafe(durable(), self._loop)
