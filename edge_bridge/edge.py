"""The edge device's program: it starts the parts, follows signals, and shuts down gracefully."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge_bridge import metrics
from edge_bridge.capture.memory_limits import limit_heap
from edge_bridge.config import EdgeConfig, HttpConfig
from edge_bridge.heartbeat import software
from edge_bridge.link.client import DeviceLink
from edge_bridge.link.commands import DeviceCommands
from edge_bridge.link.handler import CommandHandler
from edge_bridge.live.connection import LiveConnector
from edge_bridge.parts import BuildParts, EdgeParts, build_parts
from edge_bridge.remote_config.runtime import EdgeRuntime
from edge_bridge.spool.disk import DiskError
from edge_bridge.tasks import restart_forever
from edge_bridge.upload.link import Link
from media import native

if TYPE_CHECKING:
    from edge_bridge.page.views import Page

log = logging.getLogger(__name__)

_CLOCK_CHECK_S = 1.0


class Edge:
    """One edge device. `run` continues until `stop` is called or a signal arrives."""

    def __init__(self, config: EdgeConfig, build: BuildParts = build_parts) -> None:
        """`config`: the device's own file."""
        self._config = config
        self._build = build
        self._parts: EdgeParts | None = None
        self._stopping = asyncio.Event()
        self._link: DeviceLink | None = None
        self.health_port: int | None = None
        """The port of health and metrics, once it is open."""

    @property
    def parts(self) -> EdgeParts:
        """The parts; they exist from the start of `run` on."""
        assert self._parts is not None, "the edge does not run yet"
        return self._parts

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called, or a signal arrived."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Close all fragments, end all runs, continue uploads for `flush_s`, return from `run`."""
        self._stopping.set()

    def reload_model(self) -> None:
        """Start another inference worker, which loads the model and takes over."""
        if self._parts is not None:
            self._parts.inference.reload("requested by a signal")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Record until stopped; raises ConfigError if the spool or the port cannot be used."""
        limit_heap()
        metrics.NATIVE.set(native.AVAILABLE)
        for warning in self._config.cloud.warnings():
            log.warning(warning)
        async with self._build(self._config) as parts:
            self._parts = parts
            log.info("recording uses %s", native.DESCRIPTION)
            tasks = [
                restart_forever("sender", parts.sender.run),
                restart_forever("heartbeats", parts.heartbeats.run),
                restart_forever("identity", parts.renewal.run),
                restart_forever("undated footage", lambda: _date_footage(parts)),
            ]
            await parts.inference.apply(parts.config)
            async with AsyncExitStack() as stack:
                if (http := parts.config.http) is not None:
                    # A device without the port saves the memory of the HTTP server's modules.
                    from edge_bridge.health import HealthServer  # noqa: PLC0415

                    server = HealthServer(http, self.report, self._page(http))
                    self.health_port = (await stack.enter_async_context(server)).port
                await parts.recorders.apply(parts.config, parts.inference.frame_sink)
                remote_config = _follow_remote_config(parts)
                await stack.enter_async_context(self._linked(parts))
                ready()
                await self._until_stopped()
                # A configuration must not start cameras during shutdown.
                if remote_config is not None:
                    remote_config.cancel()
                    await asyncio.wait([remote_config])
                await parts.live.stop()
                await parts.recorders.stop()
                await parts.inference.stop()
                await _flush(parts, [*tasks, parts.uploads.task])

    def report(self) -> dict[str, Any]:
        """Return the state of cameras and links, for health; it contains no secret."""
        parts = self.parts
        report: dict[str, Any] = {
            "cameras": [status.model_dump() for status in parts.recorders.statuses],
            "links": {
                link.name: {"down_since_s": link.down_since_s, "detail": link.detail}
                for link in parts.links
            },
            "inference": parts.inference.state,
            "inference_detail": parts.inference.detail,
            "clock": "wrong" if parts.clock.shift_ms() is None else "right",
        }
        if parts.identity.state != "none":
            report["identity"] = _identity_report(parts)
            if self._link is not None:
                report["link"] = self._link.report()
        if parts.remote_config is not None:
            report["config"] = asdict(parts.remote_config.status)
        return report | parts.heartbeats.report()

    @asynccontextmanager
    async def _linked(self, parts: EdgeParts) -> AsyncIterator[None]:
        """Keep the link to the cloud open inside the block."""
        commands = DeviceCommands(
            parts.config,
            recorders=parts.recorders,
            live=parts.live,
            inference=parts.inference,
            clock=parts.clock,
            report=self.report,
        )
        handler = CommandHandler(lambda: parts.identity.device, commands.by_kind())
        self._link = DeviceLink(parts.identity, handler, Link("link"), software=software())
        commands.cloud_ms = self._link.cloud_ms
        connector = LiveConnector(parts.identity)
        parts.live.open_socket = connector.open
        task = restart_forever("link", self._link.run)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            await handler.stop()
            await connector.close()

    def _page(self, http: HttpConfig) -> "Page | None":
        if (password := http.password()) is None:
            return None
        # The images of the page need OpenCV and NumPy: 30 MiB that a device without a page saves.
        from edge_bridge.page.access import PageAccess  # noqa: PLC0415
        from edge_bridge.page.footage import SpoolFootage  # noqa: PLC0415
        from edge_bridge.page.views import Page  # noqa: PLC0415

        config, recorders = self.parts.config, self.parts.recorders
        head = {"site": config.site, "edge": config.edge}
        return Page(
            PageAccess(password.get_secret_value(), time.monotonic),
            SpoolFootage(config.spool.dir, recorders.privacy_masks),
            lambda: recorders.ids,
            lambda: head | self.report(),
            self.parts.live.watch,
            secure=http.certificate_file is not None,
        )

    async def _until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload_model)
        await self._stopping.wait()


def _identity_report(parts: EdgeParts) -> dict[str, Any]:
    identity = parts.identity
    certificate = identity.certificate
    return {
        "state": identity.state,
        "detail": identity.detail or parts.renewal.problem,
        "device": identity.device,
        "generation": identity.generation,
        "expires_ms": None if certificate is None else certificate.not_after_ms,
    }


def _follow_remote_config(parts: EdgeParts) -> "asyncio.Task[None] | None":
    manager = parts.remote_config
    if manager is None:
        return None
    runtime = EdgeRuntime(parts.spool, parts.recorders, parts.inference, parts.uploads)
    return restart_forever("remote configuration", lambda: manager.run(runtime))


async def _date_footage(parts: EdgeParts) -> None:
    """While the clock is plainly wrong, footage waits undated; then give it its time."""
    was_wrong = False
    while True:
        wrong = parts.clock.shift_ms() is None
        if wrong != was_wrong:
            was_wrong = wrong
            if wrong:
                log.error(
                    "this device's clock is plainly wrong: footage is recorded, but not uploaded "
                    "until the clock is set; allow NTP (UDP 123)"
                )
            else:
                log.info("this device's clock is set: the footage that waited gets its time")
        while not wrong and await parts.spool.call(lambda spool: spool.stamp_undated()):
            parts.wake()
        parts.wake()
        await asyncio.sleep(_CLOCK_CHECK_S)


async def _flush(parts: EdgeParts, tasks: "list[asyncio.Task[None]]") -> None:
    """Let uploads and messages continue for `flush_s` at most, then cancel the tasks."""
    deadline = time.monotonic() + parts.uploads.flush_s
    while time.monotonic() < deadline:
        with contextlib.suppress(DiskError):
            if (await parts.spool.call(lambda spool: spool.counts())).idle:
                break
        await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
