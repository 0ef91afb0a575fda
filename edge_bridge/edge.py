"""The edge device's program: cameras, spool, uploads, inference, health, all wired together."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from domain.events import CameraStatus, Detection
from domain.events.registry import encode
from domain.unset_clock import is_held
from edge_bridge.beat import Beats
from edge_bridge.capture.recorder import Recorder
from edge_bridge.capture.run import Feed, Recording
from edge_bridge.clock import EdgeClock
from edge_bridge.config import CameraConfig, EdgeConfig, HttpConfig
from edge_bridge.health import Health
from edge_bridge.inference.process import Inference
from edge_bridge.page.access import Access
from edge_bridge.page.footage import Footage
from edge_bridge.page.views import Page
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.held_rows import HELD
from edge_bridge.spool.owner import SpoolOwner
from edge_bridge.spool.spool import open_spool
from edge_bridge.upload.fragments import FragmentUploads
from edge_bridge.upload.link import Link
from edge_bridge.upload.sender import Sender
from edge_bridge.upload.signal import Signal
from media.fragmenter import Limits
from stores.aws import AwsEndpoint
from stores.objects import ObjectStore
from stores.queue import Queue

log = logging.getLogger(__name__)

_JOIN_S = 4.0
"""How long a camera's thread may take to close its last fragment."""
_ANEW_S = 2.0
_STAMP_S = 1.0


def utc_ms() -> int:
    """Return this device's UTC, ms."""
    return time.time_ns() // 1_000_000


def endpoints(config: EdgeConfig) -> tuple[AwsEndpoint, AwsEndpoint]:
    """Return where S3 and SQS answer."""
    cloud = config.cloud
    ca_file = str(cloud.ca_file) if cloud.ca_file else None
    return (
        # Uploads have a patience of their own and try again by themselves.
        AwsEndpoint(cloud.region, cloud.s3_endpoint, ca_file, answer_s=3_600, attempts=1),
        AwsEndpoint(cloud.region, cloud.sqs_endpoint, ca_file, answer_s=60, attempts=1),
    )


class Edge:
    """One edge device. `run` goes on until `stop` is called or a signal comes."""

    def __init__(self, config: EdgeConfig, clock: EdgeClock | None = None) -> None:
        self._config = config
        self._clock = clock or EdgeClock()
        self._stopping = asyncio.Event()
        self._recorders: dict[str, Recorder] = {}
        self._inference: Inference | None = None
        self._beats: Beats | None = None
        self._to_s3, self._to_sqs = Link("s3"), Link("sqs")
        self.health_port: int | None = None
        """Where health and metrics answer, once they do."""

    def stop(self) -> None:
        """Close all fragments, end all runs, upload for a few seconds more, return from `run`."""
        self._stopping.set()

    def reload_model(self) -> None:
        """Let another inference process load the model and take over; recording goes on."""
        if self._inference is not None:
            self._inference.replace("asked for by a signal")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Record until stopped; raises ConfigError where the spool cannot be used."""
        config, spool = self._config, self._config.spool
        limits = config.spool_limits()
        work, stored = Signal(), Signal()

        def changed() -> None:
            stored.set()
            work.set()

        owner = await asyncio.to_thread(
            SpoolOwner,
            lambda: open_spool(
                spool.dir, config.edge, limits, clock=self._clock, own_disk=spool.own_disk
            ),
            changed,
        )
        try:
            async with AsyncExitStack() as stack:
                at_s3, at_sqs = endpoints(config)
                store = await stack.enter_async_context(ObjectStore(at_s3, config.cloud.bucket))
                queue = await stack.enter_async_context(Queue(at_sqs, config.cloud.queue_url))
                bandwidth = config.upload.bandwidth()
                sender = Sender(
                    owner, store, queue, to_s3=self._to_s3, to_sqs=self._to_sqs, work=work,
                    spend=bandwidth.spend,
                )  # fmt: skip
                uploads = FragmentUploads(
                    owner,
                    store,
                    self._to_s3,
                    stored=stored,
                    put=work,
                    choice=config.upload.choice(),
                    bandwidth=bandwidth,
                    parallel=config.upload.parallel(),
                )
                beats = self._beats = Beats(
                    config, owner, sender, bandwidth, clock=self._clock, statuses=self._statuses
                )
                tasks = [
                    _kept("uploads", uploads.run),
                    _kept("sender", sender.run),
                    _kept("heartbeats", beats.run),
                    _kept("held footage", lambda: self._stamp(owner, changed)),
                ]
                inference = self._start_inference(owner)
                if config.http is not None:
                    health = await stack.enter_async_context(
                        Health(config.http, self.report, self._page(config.http))
                    )
                    self.health_port = health.port
                self._start_cameras(owner)
                ready()
                await self._until_stopped()
                await self._stop_cameras()
                if inference is not None:
                    inference.cancel()
                    await asyncio.wait([inference])
                await self._flush(owner, tasks)
        finally:
            await asyncio.to_thread(owner.close)

    def report(self) -> dict[str, Any]:
        """Return the state of cameras and links, for health; no secret is in it."""
        cameras = [recorder.status.model_dump() for recorder in self._recorders.values()]
        return {
            "cameras": cameras,
            "links": {
                link.name: {"down_since_s": link.down_since_s, "detail": link.detail}
                for link in (self._to_s3, self._to_sqs)
            },
            "inference": self._inference.state if self._inference else "off",
            "clock": "wrong" if self._clock.shift_ms() is None else "right",
        } | (self._beats.report() if self._beats else {})

    def _page(self, http: HttpConfig) -> Page | None:
        if (password := http.password()) is None:
            return None
        head = {"site": self._config.site, "edge": self._config.edge}
        return Page(
            Access(password.get_secret_value(), time.monotonic),
            Footage(self._config.spool.dir),
            self._recorders.keys,
            lambda: head | self.report(),
            secure=http.certificate_file is not None,
        )

    def _statuses(self) -> list[CameraStatus]:
        return [recorder.status for recorder in self._recorders.values()]

    def _start_inference(self, owner: SpoolOwner) -> "asyncio.Task[None] | None":
        if not self._config.inference.enabled:
            return None

        async def keep(detection: Detection) -> None:
            kind = HELD + detection.type if is_held(detection.run) else detection.type
            owner.message(kind, encode(self._restamped(detection)))

        self._inference = Inference(self._config.inference, keep, self._config.privacy())
        return asyncio.create_task(self._inference.run(), name="inference")

    def _restamped(self, detection: Detection) -> Detection:
        """Give pictures the UTC of their run's clock as it stands now: the first ones were
        looked at before the run's least-delayed picture was known.
        """
        recorder = self._recorders.get(detection.camera)
        if recorder is None:
            return detection
        frames = []
        for frame in detection.frames:
            at_ms = recorder.utc_ms(detection.run, frame.pts)
            frames.append(frame if at_ms is None else frame.model_copy(update={"at_ms": at_ms}))
        return detection.model_copy(update={"frames": frames})

    def _start_cameras(self, owner: SpoolOwner) -> None:
        for camera in self._config.cameras:
            recorder = self._recorder(camera, owner)
            self._recorders[self._config.camera_id(camera)] = recorder
            recorder.start()

    def _recorder(self, camera: CameraConfig, owner: SpoolOwner) -> Recorder:
        config = self._config
        feed: Feed | None = self._inference.feed if self._inference else None
        recording = Recording(
            camera=config.camera_id(camera),
            edge=config.edge,
            stream=camera.stream,
            limits=Limits(target_ms=int(config.fragment_s * 1_000)),
            keeps=owner,
            feed=feed,
            now_ms=self._clock.now_ms,
            clock=self._clock,
        )
        return Recorder(camera, recording, config.no_data_s)

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_model)
        await self._stopping.wait()

    async def _stop_cameras(self) -> None:
        for recorder in self._recorders.values():
            recorder.stop()
        deadline = time.monotonic() + _JOIN_S
        for camera, recorder in self._recorders.items():
            left_s = max(deadline - time.monotonic(), 0.01)
            if not await asyncio.to_thread(recorder.join, left_s):
                log.warning(
                    "the camera says nothing; its run is ended at the next start",
                    extra={"camera": camera},
                )

    async def _flush(self, owner: SpoolOwner, tasks: "list[asyncio.Task[None]]") -> None:
        deadline = time.monotonic() + self._config.upload.flush_s
        while time.monotonic() < deadline:
            with contextlib.suppress(DiskError):
                if (await owner.call(owner.spool.counts)).idle:
                    break
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stamp(self, owner: SpoolOwner, changed: Callable[[], None]) -> None:
        """Hold footage back while the clock is plainly wrong, and stamp it afterwards."""
        was_wrong = False
        while True:
            wrong = self._clock.shift_ms() is None
            if wrong != was_wrong:
                was_wrong = wrong
                if wrong:
                    log.error(
                        "this device's clock is plainly wrong: footage is recorded and held back "
                        "until it is set; let NTP reach it"
                    )
                else:
                    log.info("this device's clock is right now: what was held back is stamped")
            while not wrong and await owner.call(owner.spool.stamp_held):
                changed()
            changed()
            await asyncio.sleep(_STAMP_S)


def _kept(name: str, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
    """Run something for good: a fault that nobody foresaw is logged, and it begins anew."""

    async def keep() -> None:
        while True:
            try:
                await work()
            except* DiskError:
                pass  # the disk says it once; what waits is asked for again
            except* Exception:
                log.exception("%s ended by an unforeseen fault; beginning anew", name)
            await asyncio.sleep(_ANEW_S)

    return asyncio.create_task(keep(), name=name)
