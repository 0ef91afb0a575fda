"""Live pictures in the cloud: link workers with relays, devices that send numbered pictures."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from domain.commands import CommandKind
from domain.events import Heartbeat
from domain.events.edge import CameraStatus
from domain.link_messages import LINK_PATH, CommandMessage
from domain.live_stream import LiveChannel, LiveKind, LiveMessage
from domain.times import utc_ms
from edge_bridge.config.schedule import Schedule
from edge_bridge.link.client import DeviceLink
from edge_bridge.link.handler import CommandHandler, CommandOutcome
from edge_bridge.live.connection import LiveConnector
from edge_bridge.live.sender import LiveSender
from edge_bridge.upload.bandwidth import BandwidthLimiter
from edge_bridge.upload.link import Link
from stores.catalog import Catalog, index_heartbeats
from stores.http_server import BoundedRunner, ConnectionLimits
from streams.settings import Settings
from streams.storage import LazyStore
from tests.integration.catalog_support import CAMERA
from tests.integration.link_support import DEVICE, PathIdentity
from tests.live_pictures import LivePictures
from web.device.link_service import LinkService
from web.live.relay import DEVICE_LIVE_PATH, LiveRelay
from web.problems import ProblemError, problem_response

GOP = 10
EVERY_S = 0.02
SECRET = "l" * 40


@dataclass
class LiveWorker:
    """One link worker in this process. A device's name is in the path, in place of TLS."""

    service: LinkService
    relay: LiveRelay
    runner: BoundedRunner
    port: int
    refused: set[str] = field(default_factory=set)
    """Devices that may send no more."""

    def url(self, device: str = DEVICE) -> str:
        return f"http://127.0.0.1:{self.port}/as/{device}"


@asynccontextmanager
async def live_worker(settings: Settings, catalog: Catalog) -> AsyncIterator[LiveWorker]:
    """Run one link worker; at the end it stops as at SIGTERM."""
    opened: LazyStore[Catalog] = LazyStore(lambda: _Opened(catalog))
    service = LinkService(settings, opened)
    relay = LiveRelay(service, opened)
    application = web.Application()
    service.install(application)
    relay.install(application)
    runner = BoundedRunner(application, ConnectionLimits(is_exempt=lambda _: True), "vigil")
    worker = LiveWorker(service, relay, runner, 0)

    async def handle(request: web.Request) -> web.StreamResponse:
        device = "{tenant}/{site}/{device}".format(**request.match_info)

        async def check() -> None:
            if device in worker.refused:
                raise ProblemError(403, "The device was revoked.")

        try:
            await check()
            if request.path.endswith(LINK_PATH):
                return await service.hub.serve(request, device)
            return await relay.receive(request, device, check)
        except ProblemError as problem:
            return problem_response(problem)

    for path in (LINK_PATH, DEVICE_LIVE_PATH):
        application.router.add_get("/as/{tenant}/{site}/{device}" + path, handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    worker.port = runner.addresses[0][1]
    try:
        yield worker
    finally:
        await runner.cleanup()


class _Opened:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def __aenter__(self) -> Catalog:
        return self._catalog

    async def __aexit__(self, *_: object) -> None:
        return None


class LiveDevice:
    """A device that sends numbered pictures of its cameras while it is asked to."""

    def __init__(self, identity: PathIdentity, device: str = DEVICE, size: int = 200) -> None:
        self.identity = identity
        self.asked: list[CommandMessage] = []
        self.channels: dict[tuple[str, str], LiveChannel] = {}
        self.senders: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        self.answer = ""
        """What it says of its cameras; with `!` before it: it sends nothing."""
        self._size = size
        self._handler = CommandHandler(lambda: device, {CommandKind.LIVE: self._show})
        self._link = DeviceLink(identity, self._handler, Link("link"), software="1")
        self._connector = LiveConnector(identity)
        self._bandwidth = BandwidthLimiter(Schedule())
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "LiveDevice":
        self._tasks.append(asyncio.create_task(self._link.run()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [*self._tasks, *self.senders.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self.senders.values(), return_exceptions=True)
        await self._handler.stop()
        await self._connector.close()

    @property
    def connected(self) -> bool:
        return self._link.connected

    async def _show(self, command: CommandMessage) -> CommandOutcome:
        self.asked.append(command)
        if not self.answer.startswith("!"):
            camera, feed, relay = command.camera or "", command.feed or "main", command.relay or ""
            if (camera, feed) not in self.channels:
                self.channels[camera, feed] = channel = LiveChannel()
                self._tasks.append(asyncio.create_task(self._film(channel)))
            sender = self.senders.get((camera, feed, relay))
            if sender is None or sender.done():
                sending = LiveSender(
                    camera,
                    self.channels[camera, feed],
                    lambda: self._connector.open(camera, feed, relay),  # type: ignore[arg-type]
                    self._bandwidth,
                )
                self.senders[camera, feed, relay] = asyncio.create_task(sending.run())
        return CommandOutcome(self.answer.removeprefix("!"))

    async def _film(self, channel: LiveChannel) -> None:
        fields = {"codecs": "avc1.64001f", "width": 64, "height": 48}
        channel.push(LiveMessage.text(LiveKind.FORMAT, fields))
        channel.push(LiveMessage.init(b"init"))
        for number in itertools.count():
            channel.push(numbered(number, self._size))
            await asyncio.sleep(EVERY_S)


def numbered(number: int, size: int = 200) -> LiveMessage:
    """Return picture `number`."""
    body = number.to_bytes(4, "big").ljust(size, b".")
    return LiveMessage.media(body, utc_ms(), keyframe=number % GOP == 0)


def numbers(pictures: LivePictures) -> list[int]:
    """Return the numbers of the pictures that came."""
    return [int.from_bytes(each.data[9:13], "big") for each in pictures.messages  # type: ignore[arg-type]
            if each.kind.is_media]  # fmt: skip


def is_decodable(found: list[int]) -> bool:
    """Return whether each picture is a keyframe or follows the one before it."""
    return all(
        after == before + 1 or after % GOP == 0
        for before, after in itertools.pairwise([-1, *found])
    )


class Viewer:
    """One viewer's socket, read in the background."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.pictures = LivePictures()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.ws:
            self.pictures.add(message.data)

    @property
    def count(self) -> int:
        return self.pictures.pictures

    @property
    def ended(self) -> str:
        """The code of the message `end`; empty: none came."""
        ends = self.pictures.texts(LiveKind.END)
        return str(ends[-1]["code"]) if ends else ""

    async def close(self) -> None:
        await self.ws.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


async def heartbeat(catalog: Catalog, device: str = DEVICE, camera: str = CAMERA) -> None:
    """Store that a device records a camera."""
    site, edge = device.rsplit("/", 1)
    now_ms = utc_ms()
    event = Heartbeat(
        site=site,
        edge=edge,
        sent_ms=now_ms,
        software="1",
        spool_bytes=0,
        spool_waiting=0,
        disk_free_bytes=1 << 40,
        cameras=[CameraStatus(camera=camera, state="recording", since_ms=now_ms, detail="")],
    )
    await index_heartbeats(catalog, [event], now_ms)
