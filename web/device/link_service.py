"""The parts of a link worker, started and stopped with the web server that it is in.

    link = LinkService(settings, catalog)
    link.internal.router.add_get(...)          routes for other workers
    link.install(application)                  before the application starts
    await link.hub.serve(request, device)      in the handler of /device/v1/link

SIGTERM: not ready any more ──► devices go elsewhere ──► the row of the worker is deleted
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

from aiohttp import web

from domain.errors import VigilError
from domain.times import utc_ms
from stores.catalog import Catalog
from streams.settings import Settings
from streams.storage import LazyStore
from web.device.command_reader import CommandReader
from web.device.internal import InternalClient, LinkSecret, internal_application, serve_internal
from web.device.link import LinkHub
from web.device.workers import LinkWorkers, OwnWorker

log = logging.getLogger(__name__)


class LinkService:
    """One per process. Raises ConfigError where no secret for the internal address is set."""

    def __init__(
        self,
        settings: Settings,
        catalog: LazyStore[Catalog],
        clock_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._settings = settings
        self.secret = LinkSecret(settings, clock_ms)
        self.internal = internal_application(self.secret)
        self.client = InternalClient(settings, self.secret)
        """For connections to other link workers; open while the service runs."""
        self.worker = OwnWorker(catalog, uuid4().hex)
        self.workers = LinkWorkers(catalog)
        self.hub = LinkHub(settings, catalog, self.worker, clock_ms)
        self.reader = CommandReader(
            settings, wanted=self.hub.holds, give=self.hub.give, on_start=self.hub.give_open
        )

    @property
    def ready(self) -> bool:
        """Whether devices may connect: commands arrive, and the worker does not stop."""
        return self.reader.reading and not self.worker.draining

    def install(self, application: web.Application) -> None:
        """Start and stop the parts with an application."""
        application.cleanup_ctx.append(self._running)
        application.on_shutdown.append(self._drain)

    async def _running(self, _: web.Application) -> AsyncIterator[None]:
        async with self.client, serve_internal(self.internal, self._settings) as address:
            self.worker.address = address
            try:
                await self.worker.beat()
            except (VigilError, TimeoutError) as error:
                log.warning("this link worker is not known to others yet: %r", error)
            tasks = [
                asyncio.create_task(work(), name=name)
                for name, work in (
                    ("keep-alive", self.worker.run),
                    ("commands", self.reader.run),
                    ("links", self.hub.run),
                )
            ]
            log.info("link worker %s, internal address %s", self.worker.id, address)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.worker.leave()

    async def _drain(self, _: web.Application) -> None:
        await self.hub.drain()
