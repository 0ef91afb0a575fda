"""One connection of this web worker to the relay of each feed that its users watch.

    relay ──► LiveUpstream ──► LiveChannel ──► SocketViewer, one for each viewer

The relay is gone: the next one by the hash, at once. The viewers' sockets stay open.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType

from domain.errors import ConfigError, InvalidEventError, VigilError
from domain.live_stream import (
    MAX_MESSAGE_BYTES,
    NO_RELAY,
    RESTART,
    Feed,
    LiveChannel,
    LiveEnd,
    LiveKind,
    LiveMessage,
)
from domain.rendezvous import ranked_nodes
from stores.catalog import Catalog
from stores.catalog.link_workers import LinkWorker
from stores.keep_alive import KeepAlive
from streams.settings import Settings
from streams.storage import LazyStore
from web.device.internal import InternalClient
from web.device.workers import LinkWorkers, live_key
from web.live.metrics import ENDED
from web.live.relay import WATCH_PATH
from web.live.viewer import SocketViewer

AVOID_S = 5.0
"""So long a worker that did not answer is not asked again: the catalog may list it for 3 s."""
GIVE_UP_S = 8.0
"""So long without a relay, until the picture ends."""
RETRY_S = 0.25

log = logging.getLogger(__name__)


class LiveUpstreams:
    """All connections of one web worker to relays; none while no one watches."""

    def __init__(
        self,
        settings: Settings,
        catalog: LazyStore[Catalog],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock_s = clock_s
        self._workers = LinkWorkers(catalog)
        self._stack = AsyncExitStack()
        self._client: InternalClient | None = None
        self._opening = asyncio.Lock()
        self._upstreams: dict[tuple[str, Feed], _Upstream] = {}
        self._avoided: dict[str, float] = {}
        """Link worker -> until when it is not asked."""

    async def join(self, camera: str, feed: Feed, viewer: SocketViewer) -> None:
        """Add a viewer; he begins at the last keyframe. Raises ConfigError."""
        client = await self._opened()
        upstream = self._upstreams.get((camera, feed))
        if upstream is None or upstream.task.done():
            upstream = self._upstreams[camera, feed] = _Upstream(self, camera, feed, client)
        upstream.channel.join(viewer.queue)

    def leave(self, camera: str, feed: Feed, viewer: SocketViewer) -> None:
        """Remove a viewer; the last one closes the connection."""
        upstream = self._upstreams.get((camera, feed))
        if upstream is None:
            return
        upstream.channel.leave(viewer.queue)
        if not len(upstream.channel):
            upstream.task.cancel()
            del self._upstreams[camera, feed]

    async def close(self) -> None:
        """Send all viewers elsewhere, and close all connections."""
        upstreams = list(self._upstreams.values())
        for upstream in upstreams:
            upstream.channel.push(LiveMessage.end(RESTART))
            upstream.task.cancel()
        await asyncio.gather(*(each.task for each in upstreams), return_exceptions=True)
        await self._stack.aclose()

    async def relays(self, camera: str, feed: Feed) -> list[LinkWorker]:
        """Return the workers that may be the relay, the chosen one first. Raises VigilError."""
        now_s = self._clock_s()
        self._avoided = {
            worker: until_s for worker, until_s in self._avoided.items() if until_s > now_s
        }
        found = {each.id: each for each in await self._workers.workers()}
        active = [
            each.id for each in found.values() if not each.draining and each.id not in self._avoided
        ]
        return [found[each] for each in ranked_nodes(live_key(camera, feed), active)]

    def avoid(self, worker: str) -> None:
        """Note that a worker does not answer."""
        self._avoided[worker] = self._clock_s() + AVOID_S

    async def _opened(self) -> InternalClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._stack.enter_async_context(InternalClient(self._settings))
            return self._client


class _Upstream:
    """The connection of one feed; it lasts while there are viewers."""

    def __init__(
        self, upstreams: LiveUpstreams, camera: str, feed: Feed, client: InternalClient
    ) -> None:
        self.channel = LiveChannel()
        self._upstreams = upstreams
        self._camera = camera
        self._feed: Feed = feed
        self._client = client
        self.task = asyncio.create_task(self._run(), name=f"live {camera} {feed}")

    async def _run(self) -> None:
        """Receive from one relay after the other, until the picture ends."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        end: LiveEnd | None = None
        while end is None:
            relay = await self._next_relay()
            if relay is not None:
                received, end = await self._receive(relay)
                if received:
                    last_s = loop.time()
                    continue
            if end is None and loop.time() - last_s >= GIVE_UP_S:
                end = NO_RELAY
            await asyncio.sleep(RETRY_S)
        ENDED.labels(end.name).inc()
        self.channel.push(LiveMessage.end(end))

    async def _next_relay(self) -> LinkWorker | None:
        try:
            relays = await self._upstreams.relays(self._camera, self._feed)
        except (VigilError, ConfigError) as error:
            log.warning("the live relay is not known: %s", error)
            return None
        return relays[0] if relays else None

    async def _receive(self, relay: LinkWorker) -> tuple[bool, LiveEnd | None]:
        """Receive from a relay; return whether it answered, and why the picture ends, if so."""
        query = urlencode({"camera": self._camera, "feed": self._feed})
        try:
            ws = await self._client.connect(
                relay.address,
                f"{WATCH_PATH}?{query}",
                max_msg_size=MAX_MESSAGE_BYTES,
                autoping=False,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.info("the live relay %s does not answer: %r", relay.id, error)
            self._upstreams.avoid(relay.id)
            return False, None
        try:
            async with KeepAlive(ws) as messages:
                async for message in messages:
                    if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        break
                    parsed = LiveMessage.parse(message.data)
                    if parsed.kind is LiveKind.END and parsed.end_reason.name == RESTART.name:
                        break
                    if parsed.kind is LiveKind.END:
                        return True, parsed.end_reason
                    self.channel.push(parsed)
                if messages.stalled:
                    log.warning("the live relay %s has stalled", relay.id)
        except InvalidEventError as error:
            log.error("the live relay %s sends what cannot be read: %s", relay.id, error)
        finally:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await ws.close()
        # It stops, or was killed.
        self._upstreams.avoid(relay.id)
        return True, None
