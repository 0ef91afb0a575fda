"""Who watches which feed: the cloud, which must ask again, and viewers of the device's own page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from domain.errors import ConfigError
from domain.events import Detection
from domain.live_stream import MAX_NOTE_CHARS, Feed, LiveMessage, ViewerQueue
from edge_bridge import metrics
from edge_bridge.live.feed import LiveFeed
from edge_bridge.live.sender import LiveSender
from edge_bridge.recorders import RecorderManager
from edge_bridge.upload.bandwidth import BandwidthLimiter

log = logging.getLogger(__name__)

WANTED_S = 30.0
"""The cloud asks again each 10 s. After so long without, the feed stops."""
CHECK_SUB_S = 0.5
"""How often it is checked whether the sub streams that are watched work."""
MAX_FEEDS = 64
MAX_RELAYS = 2
"""Of one feed: an old relay and a new one, while viewers move."""

OpenSocket = Callable[[str, Feed, str], Awaitable[aiohttp.ClientWebSocketResponse]]
"""Opens the WebSocket of a camera's feed to the cloud, for a relay by its id (empty: any)."""


@dataclass(slots=True)
class _ActiveFeed:
    feed: LiveFeed
    senders: dict[str, tuple["asyncio.Task[None]", asyncio.TimerHandle]] = field(
        default_factory=dict
    )
    """By relay: what sends to it, and what stops that."""
    viewers: int = 0
    """Of the device's own page."""

    @property
    def is_watched(self) -> bool:
        return bool(self.senders) or self.viewers > 0


class LiveViewer:
    """One viewer of the device's own page."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self.queue = ViewerQueue(self._ready.set)

    async def next(self) -> LiveMessage:
        """Return the next message, waiting for it."""
        while (message := self.queue.take()) is None:
            self._ready.clear()
            await self._ready.wait()
        return message


class LiveManager:
    """Owns the feeds that are watched. Call its methods in the event loop."""

    def __init__(
        self,
        recorders: RecorderManager,
        bandwidth: BandwidthLimiter,
        open_socket: OpenSocket | None = None,
    ) -> None:
        """`open_socket`: None where the device has no link to the cloud."""
        self._recorders = recorders
        self._bandwidth = bandwidth
        self.open_socket = open_socket
        self._active: dict[tuple[str, Feed], _ActiveFeed] = {}
        self._sub_timer: asyncio.TimerHandle | None = None

    def show(self, camera: str, feed: Feed, relay: str = "") -> str:
        """Send a feed to the cloud from now on, for WANTED_S; return what is known of it.

        Raises ConfigError, with a text for people, where that is not possible.
        """
        open_socket = self.open_socket
        if open_socket is None:
            raise ConfigError("this device has no link to the cloud.")
        if self._bandwidth.kbit == 0:
            raise ConfigError("the bandwidth limit of this device permits no live picture now.")
        active = self._activate(camera, feed)
        sender, timer = active.senders.get(relay, (None, None))
        if timer is not None:
            timer.cancel()
        if sender is None or sender.done():
            if sender is None and len(active.senders) >= MAX_RELAYS:
                self._stop(camera, feed, next(iter(active.senders)))
            sending = LiveSender(
                camera,
                active.feed.channel,
                lambda: open_socket(camera, feed, relay),
                self._bandwidth,
            )
            sender = asyncio.create_task(sending.run(), name=f"live {camera} {feed}")
            sender.add_done_callback(lambda done: self._ended(camera, feed, relay, done))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(WANTED_S, self._stop, camera, feed, relay)
        active.senders[relay] = (sender, timer)
        return active.feed.problem

    def hide(self, camera: str, feed: Feed, relay: str = "") -> None:
        """Send a feed no more to a relay."""
        self._stop(camera, feed, relay)

    @asynccontextmanager
    async def watch(self, camera: str, feed: Feed) -> AsyncIterator[LiveViewer]:
        """Show a feed on the device's own page. Raises ConfigError where there is none."""
        active = self._activate(camera, feed)
        active.viewers += 1
        viewer = LiveViewer()
        active.feed.channel.join(viewer.queue)
        try:
            yield viewer
        finally:
            active.viewers -= 1
            active.feed.channel.leave(viewer.queue)
            self._release(camera, feed)

    def detections(self, event: Detection) -> None:
        """Send the boxes of a camera's pictures to those who watch it."""
        for (camera, _), active in self._active.items():
            if camera == event.camera:
                active.feed.detections(event)

    async def stop(self) -> None:
        """Stop all feeds."""
        tasks = []
        for (camera, feed), active in list(self._active.items()):
            for relay, (sender, _) in list(active.senders.items()):
                tasks.append(sender)
                self._stop(camera, feed, relay)
        if tasks:
            await asyncio.wait(tasks, timeout=2)

    def _activate(self, camera: str, feed: Feed) -> _ActiveFeed:
        active = self._active.get((camera, feed))
        if active is not None:
            return active
        if camera not in self._recorders.ids:
            raise ConfigError(f"this device does not record {camera}.")
        if len(self._active) >= MAX_FEEDS:
            raise ConfigError(f"{MAX_FEEDS} live pictures of this device are watched already.")
        active = self._active[camera, feed] = _ActiveFeed(LiveFeed(camera, feed))
        self._recorders.set_live_sink(camera, feed, active.feed)
        metrics.LIVE_FEEDS.set(len(self._active))
        if feed == "sub" and self._sub_timer is None:
            self._check_sub_streams()
        return active

    def _check_sub_streams(self) -> None:
        """Show main streams in place of sub streams that fail, and say so; again and again."""
        watched = [camera for camera, feed in self._active if feed == "sub"]
        for camera in watched:
            problem = self._recorders.check_sub_stream(camera)
            self._active[camera, "sub"].feed.note = (
                f"The main stream is shown. The sub stream fails: {problem}"[:MAX_NOTE_CHARS]
                if problem
                else ""
            )
        loop = asyncio.get_running_loop()
        self._sub_timer = loop.call_later(CHECK_SUB_S, self._check_sub_streams) if watched else None

    def _stop(self, camera: str, feed: Feed, relay: str) -> None:
        active = self._active.get((camera, feed))
        if active is None or relay not in active.senders:
            return
        sender, timer = active.senders.pop(relay)
        timer.cancel()
        sender.cancel()
        self._release(camera, feed)

    def _ended(self, camera: str, feed: Feed, relay: str, sender: "asyncio.Task[None]") -> None:
        """Note that a sender ended by itself: no one watches at the cloud."""
        with contextlib.suppress(asyncio.CancelledError):
            if (error := sender.exception()) is not None:
                log.error("the live picture failed: %r", error, extra={"camera": camera})
        active = self._active.get((camera, feed))
        if active is not None and active.senders.get(relay, (None, None))[0] is sender:
            self._stop(camera, feed, relay)

    def _release(self, camera: str, feed: Feed) -> None:
        active = self._active.get((camera, feed))
        if active is not None and not active.is_watched:
            del self._active[camera, feed]
            self._recorders.set_live_sink(camera, feed, None)
            metrics.LIVE_FEEDS.set(len(self._active))
