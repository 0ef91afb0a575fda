"""Link workers on real Kafka and PostgreSQL, and devices that are connected to them.

A worker here takes the device's name from the path instead of a certificate. The way of
certificates is tested with the whole program, in test_link_worker.py.
"""

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from domain.commands import COMMAND_RULES, CommandKind
from domain.events import EdgeCommand
from domain.link_messages import LINK_PATH, CommandMessage
from domain.times import utc_ms
from edge_bridge.link.client import DeviceLink
from edge_bridge.link.handler import Carry, CommandHandler, CommandOutcome
from edge_bridge.upload.link import Link
from stores.catalog import Catalog
from stores.catalog.edge_commands import add_command
from stores.catalog.row_security import LINK
from stores.catalog.web_catalog import WebCatalog
from stores.http_server import BoundedRunner, ConnectionLimits
from streams.sender import KafkaSender
from streams.settings import Settings
from streams.storage import LazyStore
from streams.topic_admin import ensure
from streams.topics import EDGE_COMMAND
from web.device.link_service import LinkService
from web.problems import ProblemError, problem_response

DEVICE = "acme/hq/box"


@dataclass
class Worker:
    """One link worker in this process."""

    service: LinkService
    runner: BoundedRunner
    port: int
    socket_stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def url(self, device: str) -> str:
        """Return the address that a device is given."""
        return f"http://127.0.0.1:{self.port}/as/{device}"

    async def stop(self) -> None:
        """Stop as at SIGTERM: drained."""
        await self.runner.cleanup()


class PathIdentity:
    """An identity whose address can change: in real life it is that of a load balancer."""

    def __init__(self, url: str | None) -> None:
        self.url = url

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return a context, which plain HTTP does not use."""
        return ssl.create_default_context()


@dataclass
class TestDevice:
    """A device's end of the link, with handlers of the test."""

    __test__ = False
    device: str
    identity: PathIdentity
    done: list[CommandMessage] = field(default_factory=list)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Handlers wait for it."""
    link: DeviceLink = field(init=False)
    handler: CommandHandler = field(init=False)

    def __post_init__(self) -> None:
        self.hold.set()

        async def carry(command: CommandMessage) -> CommandOutcome:
            self.done.append(command)
            await self.hold.wait()
            body = b"\xff\xd8\xffpicture" if command.kind == CommandKind.SNAPSHOT else None
            return CommandOutcome("Done.", {"camera": command.camera}, body)

        kinds: Mapping[CommandKind, Carry] = dict.fromkeys(CommandKind, carry)
        self.handler = CommandHandler(lambda: self.device, kinds)
        self.link = DeviceLink(self.identity, self.handler, Link("link"), software="1.2.3")


@asynccontextmanager
async def running_device(worker: Worker, device: str = DEVICE) -> AsyncIterator[TestDevice]:
    """Connect a device to a worker, and keep it connected."""
    made = TestDevice(device, PathIdentity(worker.url(device)))
    task = asyncio.create_task(made.link.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.handler.stop()


def link_settings(settings: Settings, dsn: str, **more: Any) -> Settings:
    """Return settings with names of their own."""
    changes = {
        "topic_prefix": f"l{uuid.uuid4().hex[:8]}-",
        "partitions": 2,
        "session_secret": "s" * 40,
        "database_url": dsn,
        "link_ping_s": 5.0,
        **more,
    }
    return Settings.model_validate({**settings.model_dump(), **changes})


@asynccontextmanager
async def running_worker(settings: Settings, catalog: Catalog) -> AsyncIterator[Worker]:
    """Run one link worker with the rights of vigil_link; at the end it is stopped as by SIGTERM."""
    async with (
        WebCatalog(catalog._dsn, required=True, roles=(LINK,)) as own,
        _running_worker(settings, own) as worker,
    ):
        yield worker


@asynccontextmanager
async def _running_worker(settings: Settings, catalog: Catalog) -> AsyncIterator[Worker]:
    opened: LazyStore[Catalog] = LazyStore(lambda: _Opened(catalog))
    service = LinkService(settings, opened)
    application = web.Application()
    service.install(application)

    async def handle(request: web.Request) -> web.StreamResponse:
        device = "{tenant}/{site}/{device}".format(**request.match_info)
        try:
            return await service.hub.serve(request, device)
        except ProblemError as problem:
            return problem_response(problem)

    application.router.add_get("/as/{tenant}/{site}/{device}" + LINK_PATH, handle)
    limits = ConnectionLimits(is_exempt=lambda _: True)
    runner = BoundedRunner(application, limits, "vigil")
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    worker = Worker(service, runner, runner.addresses[0][1])
    try:
        yield worker
    finally:
        await worker.stop()


class _Opened:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def __aenter__(self) -> Catalog:
        return self._catalog

    async def __aexit__(self, *_: object) -> None:
        return None


async def make_topic(settings: Settings) -> None:
    """Make the topic of commands."""
    await ensure([EDGE_COMMAND], settings=settings)


def command(kind: CommandKind = CommandKind.CLOCK_CHECK, **more: Any) -> EdgeCommand:
    """Return a new command, given now."""
    now_ms = utc_ms()
    values = {
        "device": DEVICE,
        "id": uuid.uuid4().hex,
        "kind": kind.value,
        "sent_ms": now_ms,
        "deadline_ms": now_ms + COMMAND_RULES[kind].timeout_ms,
    }
    return EdgeCommand.model_validate(values | more)


async def give(catalog: Catalog, sender: KafkaSender, given: EdgeCommand) -> EdgeCommand:
    """Store and send a command, as the API does."""
    await store(catalog, given)
    await sender.send(given)
    return given


async def store(catalog: Catalog, given: EdgeCommand) -> EdgeCommand:
    """Store a command that is never sent: its web worker was killed."""
    async with catalog.transaction() as connection:
        await add_command(connection, given, "key:1", "Ann")
    return given
