"""Which link workers there are: this one keeps itself alive, everyone knows the others.

key ──► rendezvous hash over the workers that are alive and do not drain ──► one worker
"""

import asyncio
import logging
import time
from collections.abc import Callable

from domain.errors import VigilError
from domain.rendezvous import responsible_node
from stores.catalog import Catalog
from stores.catalog.link_workers import (
    GONE_S,
    KEEP_ALIVE_S,
    LinkWorker,
    forget_dead_workers,
    forget_worker,
    keep_alive,
    list_link_workers,
)
from stores.catalog.web_catalog import all_tenants
from streams.storage import LazyStore

log = logging.getLogger(__name__)


class LinkWorkers:
    """The link workers as this process knows them: a list of at most a second's age."""

    def __init__(self, catalog: LazyStore[Catalog], clock_s: Callable[[], float] = time.monotonic):
        self._catalog = catalog
        self._clock_s = clock_s
        self._known: list[LinkWorker] = []
        self._read_s = float("-inf")
        self._reading = asyncio.Lock()

    async def workers(self, *, newest: bool = False) -> list[LinkWorker]:
        """Return the workers that are alive, by id. `newest`: read again now.

        While the catalog does not answer, those of the last read count. Raises StoreError where
        there was none yet.
        """
        async with self._reading:
            if newest or self._clock_s() - self._read_s >= KEEP_ALIVE_S:
                try:
                    with all_tenants():
                        found = await list_link_workers(await self._catalog.get())
                except VigilError:
                    if self._read_s == float("-inf"):
                        raise
                    return self._known
                self._known = found
                self._read_s = self._clock_s()
            return self._known

    async def responsible(self, key: str, *, newest: bool = False) -> LinkWorker | None:
        """Return the worker that is responsible for a key; None: there are none.

        A live relay's key is `CAMERA FEED`: see `live_key`.
        """
        workers = {each.id: each for each in await self.workers(newest=newest)}
        active = [each.id for each in workers.values() if not each.draining]
        chosen = responsible_node(key, active or workers)
        return None if chosen is None else workers[chosen]


class OwnWorker:
    """This process as a link worker: `run` renews its row each second."""

    def __init__(self, catalog: LazyStore[Catalog], worker: str) -> None:
        self._catalog = catalog
        self.address = ""
        """Known once the internal address is served."""
        self.id = worker
        self.draining = False
        self.sockets: Callable[[], int] = lambda: 0

    async def beat(self) -> None:
        """Renew the row now. Raises StoreError."""
        worker = LinkWorker(self.id, self.address, self.draining, self.sockets())
        with all_tenants():
            async with asyncio.timeout(GONE_S):
                await keep_alive(await self._catalog.get(), worker)

    async def run(self) -> None:
        """Renew the row each second until cancelled; a failure is logged."""
        beats = 0
        while True:
            began_s = time.monotonic()
            try:
                await self.beat()
                if beats % 30 == 0:
                    with all_tenants():
                        await forget_dead_workers(await self._catalog.get())
            except (VigilError, TimeoutError) as error:
                log.warning("the keep-alive of this link worker failed: %r", error)
            beats += 1
            await asyncio.sleep(max(0.1, KEEP_ALIVE_S - (time.monotonic() - began_s)))

    async def leave(self) -> None:
        """Delete the row; a failure is logged: it counts as gone after 3 s anyway."""
        try:
            with all_tenants():
                async with asyncio.timeout(GONE_S):
                    await forget_worker(await self._catalog.get(), self.id)
        except (VigilError, TimeoutError) as error:
            log.warning("this link worker's row is not deleted: %r", error)


def live_key(camera: str, feed: str) -> str:
    """Return the key by which a live relay is chosen."""
    return f"{camera} {feed}"
