"""The edge device's program: cameras, spool, uploads, inference, health, all wired together."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from domain.events import Detection
from domain.events.registry import encode
from domain.unset_clock import is_held
from edge_bridge.capture.memory_limits import limit_heap
from edge_bridge.clock import EdgeClock
from edge_bridge.config import EdgeConfig, HttpConfig
from edge_bridge.health import HealthServer
from edge_bridge.heartbeat import HeartbeatSender
from edge_bridge.inference_manager import InferenceManager
from edge_bridge.recorders import RecorderManager
from edge_bridge.remote_config.manager import RemoteConfigManager
from edge_bridge.remote_config.runtime import EdgeRuntime
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from edge_bridge.spool.undated_rows import UNDATED_PREFIX
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.endpoints import endpoints
from edge_bridge.upload.link import Link
from edge_bridge.upload.manager import UploadManager
from edge_bridge.upload.outbox_sender import OutboxSender
from edge_bridge.upload.uploader import FragmentUploader
from edge_bridge.upload.wakeup import Wakeup
from stores.objects import ObjectStore
from stores.queue import Queue

if TYPE_CHECKING:
    from edge_bridge.page.views import Page

log = logging.getLogger(__name__)

_ANEW_S = 2.0
_STAMP_S = 1.0


class Edge:
    """One edge device. `run` goes on until `stop` is called or a signal comes."""

    def __init__(self, config: EdgeConfig, clock: EdgeClock | None = None) -> None:
        self._config = config
        self._clock = clock or EdgeClock()
        self._stopping = asyncio.Event()
        self._cameras: RecorderManager | None = None
        self._looking: InferenceManager | None = None
        self._beats: HeartbeatSender | None = None
        self._to_s3, self._to_sqs = Link("s3"), Link("sqs")
        self._links = [self._to_s3, self._to_sqs]
        self._central: RemoteConfigManager | None = None
        if config.central is not None:
            link = Link("central")
            self._central = RemoteConfigManager(config, config.central, link)
            self._links.append(link)
        self.health_port: int | None = None
        """Where health and metrics answer, once they do."""

    def stop(self) -> None:
        """Close all fragments, end all runs, upload for a few seconds more, return from `run`."""
        self._stopping.set()

    def reload_model(self) -> None:
        """Let another inference process load the model and take over; recording goes on."""
        if self._looking is not None:
            self._looking.reload("asked for by a signal")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Record until stopped; raises ConfigError where the spool cannot be used."""
        limit_heap()
        if self._central is not None:
            self._config = await asyncio.to_thread(self._central.boot)
        config, spool = self._config, self._config.spool
        limits = config.spool_limits()
        work, stored = Wakeup(), Wakeup()

        def changed() -> None:
            stored.set()
            work.set()

        owner = await asyncio.to_thread(
            SpoolThread,
            lambda: open_spool(
                spool.dir,
                config.edge,
                limits,
                clock=self._clock,
                own_disk=spool.own_disk,
                background_recovery=True,
            ),
            changed,
        )
        try:
            async with AsyncExitStack() as stack:
                at_s3, at_sqs = endpoints(config.cloud)
                store = await stack.enter_async_context(ObjectStore(at_s3, config.cloud.bucket))
                queue = await stack.enter_async_context(Queue(at_sqs, config.cloud.queue_url))
                bandwidth = BandwidthLimiter.from_config(config.upload)
                sender = OutboxSender(
                    owner, store, queue, to_s3=self._to_s3, to_sqs=self._to_sqs, work=work,
                    spend=bandwidth.spend,
                )  # fmt: skip
                uploading = UploadManager(
                    config.upload,
                    bandwidth,
                    lambda scheduler, concurrency: FragmentUploader(
                        owner,
                        store,
                        self._to_s3,
                        stored=stored,
                        uploaded=work,
                        scheduler=scheduler,
                        bandwidth=bandwidth,
                        concurrency=concurrency,
                    ),
                    lambda uploads: _kept("uploads", uploads.run),
                )
                cameras = self._cameras = RecorderManager(owner, self._clock)
                looking = self._looking = self._looks(owner)
                site = EdgeRuntime(owner, cameras, looking, uploading)
                beats = self._beats = HeartbeatSender(
                    config,
                    owner,
                    sender,
                    bandwidth,
                    clock=self._clock,
                    statuses=lambda: cameras.statuses,
                    config_status=lambda: self._central.status if self._central else None,
                )
                tasks = [
                    _kept("sender", sender.run),
                    _kept("heartbeats", beats.run),
                    _kept("held footage", lambda: self._stamp(owner, changed)),
                ]
                await looking.apply(config)
                if config.http is not None:
                    health = await stack.enter_async_context(
                        HealthServer(config.http, self.report, self._page(config.http))
                    )
                    self.health_port = health.port
                await cameras.apply(config, looking.feed)
                following = self._follow(site)
                ready()
                await self._until_stopped()
                if following is not None:
                    following.cancel()
                    await asyncio.wait([following])
                await cameras.stop()
                await looking.stop()
                await self._flush(owner, [*tasks, uploading.task], uploading.flush_s)
        finally:
            await asyncio.to_thread(owner.close)

    def report(self) -> dict[str, Any]:
        """Return the state of cameras and links, for health; no secret is in it."""
        statuses = self._cameras.statuses if self._cameras else []
        report: dict[str, Any] = {
            "cameras": [status.model_dump() for status in statuses],
            "links": {
                link.name: {"down_since_s": link.down_since_s, "detail": link.detail}
                for link in self._links
            },
            "inference": self._looking.state if self._looking else "off",
            "inference_detail": self._looking.detail if self._looking else "",
            "clock": "wrong" if self._clock.shift_ms() is None else "right",
        }
        if self._central is not None:
            report["config"] = asdict(self._central.status)
        return report | (self._beats.report() if self._beats else {})

    def _page(self, http: HttpConfig) -> "Page | None":
        if (password := http.password()) is None:
            return None
        # The page's pictures need OpenCV and NumPy: 30 MiB that a device without it saves.
        from edge_bridge.page.access import PageAccess  # noqa: PLC0415
        from edge_bridge.page.footage import SpoolFootage  # noqa: PLC0415
        from edge_bridge.page.views import Page  # noqa: PLC0415

        head = {"site": self._config.site, "edge": self._config.edge}
        return Page(
            PageAccess(password.get_secret_value(), time.monotonic),
            SpoolFootage(
                self._config.spool.dir,
                lambda camera: self._cameras.privacy_masks(camera) if self._cameras else [],
            ),
            lambda: self._cameras.ids if self._cameras else (),
            lambda: head | self.report(),
            secure=http.certificate_file is not None,
        )

    def _follow(self, site: EdgeRuntime) -> "asyncio.Task[None] | None":
        central = self._central
        if central is None:
            return None
        return _kept("central configuration", lambda: central.run(site))

    def _looks(self, owner: SpoolThread) -> InferenceManager:
        """Make what looks at pictures; whoever measures the edge puts something else here."""
        return InferenceManager(lambda found: self._found(owner, found))

    async def _found(self, owner: SpoolThread, detection: Detection) -> None:
        kind = UNDATED_PREFIX + detection.type if is_held(detection.run) else detection.type
        stamped = self._cameras.corrected(detection) if self._cameras else detection
        owner.message(kind, encode(stamped))

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_model)
        await self._stopping.wait()

    async def _flush(
        self, owner: SpoolThread, tasks: "list[asyncio.Task[None]]", flush_s: int
    ) -> None:
        deadline = time.monotonic() + flush_s
        while time.monotonic() < deadline:
            with contextlib.suppress(DiskError):
                if (await owner.call(lambda spool: spool.counts())).idle:
                    break
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stamp(self, owner: SpoolThread, changed: Callable[[], None]) -> None:
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
            while not wrong and await owner.call(lambda spool: spool.stamp_undated()):
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
