"""The live relay: a link worker holds a camera's live picture for all who watch it.

    device ──► any link worker ──► the relay of the camera and feed ──► web workers ──► viewers
                 (passed on)          LiveChannel: the GOP, a queue for each web worker

Viewers choose the relay, by rendezvous hash over the workers that are alive. The relay asks the
device, and names itself. So the device's socket arrives where the viewers are, also while workers
do not agree on who is alive. Without viewers the relay closes the device's socket.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web

from domain.errors import InvalidEventError, InvalidIdError, VigilError
from domain.identity import check_camera, site_of
from domain.live_stream import (
    BUSY,
    CAMERA_OFFLINE,
    DEVICE_OFFLINE,
    DEVICE_REFUSED,
    FEEDS,
    MAX_MESSAGE_BYTES,
    NOT_WATCHED,
    REPLACED,
    RESTART,
    Feed,
    LiveEnd,
)
from domain.rendezvous import ranked_nodes
from domain.times import utc_ms
from domain.token_bucket import full_bucket
from stores.catalog import Catalog
from stores.catalog.link_workers import LinkWorker
from stores.keep_alive import KeepAlive
from streams.storage import LazyStore
from web.device.internal import INTERNAL_PREFIX
from web.device.link_service import LinkService
from web.device.workers import live_key
from web.live.asker import LiveAsker
from web.live.metrics import ENDED, PICTURES
from web.live.picture import LivePicture
from web.live.viewer import SocketViewer, end_socket
from web.problems import ProblemError, problem_response
from web.types import Handler

WATCH_PATH = f"{INTERNAL_PREFIX}live/watch"
PUBLISH_PATH = f"{INTERNAL_PREFIX}live/publish"
DEVICE_LIVE_PATH = "/device/v1/live"

RENEW_S = 10.0
"""How often a device is asked again while it sends."""
ASK_S = 1.0
"""How often while it does not."""
OFFLINE_S = 5.0
"""So long a device may be away until the picture ends: it connects again after a failure."""
NO_PICTURE_S = 12.0
"""So long pictures may stay away. A keyframe interval of a camera is shorter."""
LINGER_S = 5.0
"""So long a device sends without viewers: one may come back."""
CHECK_S = 5.0
"""How often the device's right to send is checked."""
MAX_PICTURES = 1_000
MAX_KEPT_BYTES = 1 << 30
"""Of the GOPs that are kept, in all."""
BYTES_PER_S = 12 << 20
"""Of one device's picture: a faster one is read slowly."""

log = logging.getLogger(__name__)


class LiveRelay:
    """The live pictures of one link worker."""

    def __init__(
        self,
        link: LinkService,
        catalog: LazyStore[Catalog],
        clock_ms: Callable[[], int] = utc_ms,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Add the routes to the internal address of `link`."""
        self._link = link
        self._clock_s = clock_s
        self._asker = LiveAsker(link, catalog, clock_ms)
        self._pictures: dict[tuple[str, Feed], LivePicture] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        link.internal.router.add_get(WATCH_PATH, _with_problems(self._watch))
        link.internal.router.add_get(PUBLISH_PATH, _with_problems(self._publish_passed_on))

    def install(self, application: web.Application) -> None:
        """Stop the relay with an application, before devices are asked to connect elsewhere."""
        application.on_shutdown.insert(0, self._drain)
        application.cleanup_ctx.append(self._running)

    # -- devices

    async def receive(
        self, request: web.Request, device: str, check: Callable[[], Awaitable[object]]
    ) -> web.StreamResponse:
        """Handle GET /device/v1/live of a device: keep its picture here, or pass it on.

        `check` raises ProblemError where the device may not send any more. Raises ProblemError.
        """
        camera, feed = _subject(request)
        if site_of(camera) != site_of(device):
            raise ProblemError(
                HTTPStatus.FORBIDDEN, f"The camera {camera} is not of this device's site."
            )
        self._check_not_draining()
        ws = await _accept(request)
        watch = asyncio.create_task(_close_where_refused(ws, check))
        try:
            await self._forward(ws, camera, feed, request.query.get("relay", ""))
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return ws

    def _check_not_draining(self) -> None:
        if self._link.worker.draining:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, "This worker stops.", {"Retry-After": "1"}
            )

    async def _forward(
        self, ws: web.WebSocketResponse, camera: str, feed: Feed, relay: str
    ) -> None:
        own = self._link.worker.id
        path = f"{PUBLISH_PATH}?{urlencode({'camera': camera, 'feed': feed})}"
        for worker in await self._candidates(camera, feed, relay):
            if worker.id == own:
                await self._publish(ws, camera, feed)
                return
            try:
                upstream = await self._link.client.connect(
                    worker.address, path, max_msg_size=1_024, autoping=False
                )
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.info("the live relay %s does not answer: %r", worker.id, error)
                continue
            async with upstream:
                await _pass_on(ws, upstream)
            return
        await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"no relay answers")

    async def _candidates(self, camera: str, feed: Feed, relay: str) -> list[LinkWorker]:
        """Return the workers that may be the relay: the one that asked, then by the hash."""
        found = {each.id: each for each in await self._link.workers.workers()}
        active = [each.id for each in found.values() if not each.draining]
        order = ranked_nodes(live_key(camera, feed), active)
        if relay in active:
            order = [relay, *(each for each in order if each != relay)]
        return [found[each] for each in order]

    async def _publish_passed_on(self, request: web.Request) -> web.StreamResponse:
        """Handle the internal GET of a worker that passes a device's picture on."""
        camera, feed = _subject(request)
        self._check_not_draining()
        ws = await _accept(request)
        await self._publish(ws, camera, feed)
        return ws

    async def _publish(self, ws: web.WebSocketResponse, camera: str, feed: Feed) -> None:
        """Give a device's messages to the viewers until either side closes."""
        picture = self._open(camera, feed)
        if picture is None:
            await ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too many live pictures")
            return
        older, picture.publisher = picture.publisher, ws
        picture.last_media_s = self._clock_s()
        picture.changed.set()
        if older is not None:
            self._spawn(_close(older, REPLACED, "the picture comes by a newer connection"))
        if not len(picture.channel):
            self._spawn(self._linger(picture))
        bucket = full_bucket(BYTES_PER_S, 2 * BYTES_PER_S, self._clock_s())
        try:
            async with KeepAlive(ws) as messages:
                async for message in messages:
                    if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                        break
                    picture.push(message.data, self._clock_s())
                    if wait_s := bucket.spend(len(message.data), self._clock_s()):
                        await asyncio.sleep(wait_s)
                if messages.stalled:
                    log.warning("a device's live picture has stalled", extra={"camera": camera})
        except InvalidEventError as error:
            log.warning("a live picture is not valid: %s", error, extra={"camera": camera})
            await _close(ws, WSCloseCode.UNSUPPORTED_DATA, str(error))
        finally:
            if picture.publisher is ws:
                picture.publisher = None
                picture.last_media_s = self._clock_s()
                picture.changed.set()
            self._forget_unused(picture)

    # -- viewers

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """Handle the internal GET of a web worker whose users watch a feed."""
        camera, feed = _subject(request)
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1_024)
        await ws.prepare(request)
        picture = None if self._link.worker.draining else self._open(camera, feed)
        if picture is None:
            end = RESTART if self._link.worker.draining else BUSY
            with contextlib.suppress(ConnectionError):
                await end_socket(ws, end)
            return ws
        viewer = SocketViewer(ws)
        is_first = not len(picture.channel)
        picture.channel.join(viewer.queue)
        try:
            if is_first:
                self._spawn(self._ask_while_watched(picture))
            await viewer.serve()
        finally:
            picture.channel.leave(viewer.queue)
            picture.changed.set()
            if not len(picture.channel):
                self._spawn(self._linger(picture))
        return ws

    async def _ask_while_watched(self, picture: LivePicture) -> None:
        """Ask the device again and again, until no one watches or no picture can come."""
        picture.last_media_s = self._clock_s()
        while len(picture.channel) and self._pictures.get(_key(picture)) is picture:
            picture.changed.clear()
            end: LiveEnd | None = None
            try:
                outcome = await self._asker.ask(picture.camera, picture.feed)
                end, picture.hint = outcome.end, outcome.hint or picture.hint
            except (VigilError, aiohttp.ClientError, OSError, TimeoutError) as error:
                log.warning("the device is not asked: %r", error, extra={"camera": picture.camera})
            silent_s = self._clock_s() - picture.last_media_s
            if end is DEVICE_OFFLINE and silent_s < OFFLINE_S:
                end = None
            if end is not None and picture.publisher is not None and silent_s < NO_PICTURE_S:
                end = None  # it sends all the same
            if end is None and silent_s >= NO_PICTURE_S:
                end = CAMERA_OFFLINE.with_reason(picture.hint)
            if end is not None:
                ENDED.labels(end.name).inc()
                picture.end(end)
            sends = picture.publisher is not None and silent_s < ASK_S * 3
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S if sends else ASK_S):
                    await picture.changed.wait()
                    await asyncio.sleep(0.05)  # many changes are one

    async def _linger(self, picture: LivePicture) -> None:
        """Close the device's socket where no one watches for a while."""
        await asyncio.sleep(LINGER_S)
        if not len(picture.channel) and (publisher := picture.publisher) is not None:
            await _close(publisher, NOT_WATCHED, "no one watches")
        self._forget_unused(picture)

    # -- pictures

    def _open(self, camera: str, feed: Feed) -> LivePicture | None:
        """Return the picture of a feed; None: there are too many."""
        picture = self._pictures.get((camera, feed))
        if picture is not None:
            return picture
        kept = sum(each.channel.kept_bytes for each in self._pictures.values())
        if len(self._pictures) >= MAX_PICTURES or kept >= MAX_KEPT_BYTES:
            return None
        picture = self._pictures[camera, feed] = LivePicture(camera, feed, self._clock_s())
        PICTURES.set(len(self._pictures))
        return picture

    def _forget_unused(self, picture: LivePicture) -> None:
        is_used = len(picture.channel) or picture.publisher is not None
        if not is_used and self._pictures.get(_key(picture)) is picture:
            del self._pictures[_key(picture)]
            PICTURES.set(len(self._pictures))

    # -- its life

    async def _drain(self, _: web.Application) -> None:
        """Send viewers and devices to the next relay."""
        self._link.worker.draining = True
        with contextlib.suppress(VigilError, TimeoutError):
            await self._link.worker.beat()
        for picture in list(self._pictures.values()):
            picture.end(RESTART)
            if picture.publisher is not None:
                self._spawn(_close(picture.publisher, RESTART.code, RESTART.reason))

    async def _running(self, _: web.Application) -> AsyncIterator[None]:
        yield
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: "asyncio.Future[None] | Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _with_problems(handler: Handler) -> Handler:
    """Return a handler of the internal address whose problems are answers."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as problem:
            return problem_response(problem)

    return handle


def _key(picture: LivePicture) -> tuple[str, Feed]:
    return picture.camera, picture.feed


def _subject(request: web.Request) -> tuple[str, Feed]:
    """Return the camera and the feed of a request; raise ProblemError."""
    try:
        camera = check_camera(request.query.get("camera", ""))
    except InvalidIdError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)) from None
    for feed in FEEDS:
        if request.query.get("feed", "main") == feed:
            return camera, feed
    raise ProblemError(HTTPStatus.BAD_REQUEST, "feed: main or sub.")


async def _accept(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MAX_MESSAGE_BYTES)
    await ws.prepare(request)
    return ws


async def _pass_on(ws: web.WebSocketResponse, upstream: aiohttp.ClientWebSocketResponse) -> None:
    """Pass a device's messages on to the relay, and the relay's end back to the device."""

    async def forward() -> None:
        async with KeepAlive(ws) as messages:
            async for message in messages:
                if message.type is WSMsgType.TEXT:
                    await upstream.send_str(message.data)
                elif message.type is WSMsgType.BINARY:
                    await upstream.send_bytes(message.data)

    async def wait_for_end() -> None:
        async with KeepAlive(upstream) as messages:
            await messages.wait_closed()

    tasks = [asyncio.create_task(forward()), asyncio.create_task(wait_for_end())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not ws.closed:
        code = upstream.close_code or WSCloseCode.TRY_AGAIN_LATER
        # 1006 means that no close frame came: it may not be sent (RFC 6455, 7.4.1).
        code = WSCloseCode.TRY_AGAIN_LATER if code == WSCloseCode.ABNORMAL_CLOSURE else code
        await _close(ws, code, "the relay closed")


async def _close_where_refused(
    ws: web.WebSocketResponse, check: Callable[[], Awaitable[object]]
) -> None:
    """Close the socket of a device that was revoked or locked since."""
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            await check()
        except ProblemError as problem:
            await _close(ws, DEVICE_REFUSED, problem.detail)
            return
        except VigilError as error:
            log.warning("a device's right to send is not checked: %s", error)


async def _close(ws: web.WebSocketResponse, code: int, reason: str) -> None:
    with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
        async with asyncio.timeout(2):
            await ws.close(code=code, message=reason.encode()[:120])
