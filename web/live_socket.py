"""…/live/socket: a camera's picture as it is now, by a WebSocket.

    access     as for recorded footage; checked again each 10 s
    audit      one entry a minute for each camera that is watched
    bounds     sockets of one principal, bytes a second of one principal, sockets of the worker
    origin     a browser sends the session's cookie from any page: the page must be our own

docs/design/edge-link.md has the messages. The last message says why a picture ends, and so does the
close code: a browser's script sees no status of a handshake that fails.
"""

import asyncio
import contextlib
import time
from collections import Counter
from http import HTTPStatus

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.errors import ConfigError, StoreError
from domain.live_stream import BUSY, LIVE_ENDS, NO_RELAY, NOT_ALLOWED, RESTART, SIGNED_OUT, Feed
from web.access import on_camera
from web.audit import note_read
from web.bodies import parse_query
from web.live.metrics import BYTES, ENDED, VIEWERS
from web.live.viewer import SocketViewer, end_socket
from web.middleware import PRINCIPAL, is_still_allowed
from web.operations import MediaBody, Operation, describe
from web.problems import ProblemError
from web.schemas.live import LIVE_MODELS, LiveQuery
from web.services import SERVICES, Services, require_camera
from web.unsafe_requests import check_same_origin

CHECK_S = 10.0
"""How often the caller's rights are checked. Sessions and keys are cached for 5 s besides."""
UNCHECKED_S = 25.0
"""A picture ends where the rights could not be checked for this long."""
MAX_SOCKETS = 1_000
MAX_PER_PRINCIPAL = 64
"""A wall has up to 36 tiles; two of them may be open."""

_ENDS = "\n".join(f"| `{each.name}` | {each.code} | {each.reason} |" for each in LIVE_ENDS)
DESCRIPTION = f"""\
A WebSocket (RFC 6455). Text messages are JSON by `type`: `format`, `detections`, `end`. Binary
messages begin with one byte:

| first byte | rest |
|---|---|
| 1 | init segment, fragmented MP4 for MediaSource; again where the format changes |
| 2 | media segment that begins with a keyframe: 8 bytes, big endian, UTC ms of its first picture; \
then the segment |
| 3 | media segment without a keyframe, the same form |

A client begins at the last keyframe. One that is too slow loses whole groups of pictures: the next
segment is a keyframe then. Where the picture ends, the last message says why, and the close code:

| `code` | close code | reason |
|---|---|---|
{_ENDS}

Play the playlist with `live=true` then, and try again later; after 1012 at once.
"""


class LiveSocketView(View):
    """A camera's live picture."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/live/socket"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "Watch a camera live",
            status=HTTPStatus.SWITCHING_PROTOCOLS,
            answer=MediaBody(
                "application/octet-stream", "The WebSocket is open.", models=LIVE_MODELS
            ),
            query=LiveQuery,
            headers={
                "Upgrade": "websocket",
                "Origin": "With a session's cookie: this server.",
            },
            problems={
                403: "A page of another site asks with a session's cookie.",
                426: "The request does not ask for a WebSocket.",
            },
            description=DESCRIPTION,
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.StreamResponse:
        """Send the live picture until the client leaves."""
        services = request.app[SERVICES]
        feed = parse_query(request, LiveQuery).feed
        if "Authorization" not in request.headers:
            check_same_origin(request, https=services.proxies.is_https(request))
        camera = await require_camera(request)
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1_024)
        if not ws.can_prepare(request):
            raise ProblemError(
                HTTPStatus.UPGRADE_REQUIRED,
                "This address speaks WebSocket only.",
                {"Upgrade": "websocket"},
            )
        await ws.prepare(request)
        await request.app[LIVE_SOCKETS].serve(request, ws, camera.id, feed)
        return ws


class LiveSockets:
    """The live sockets of this web worker, and their bounds."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._viewers: set[SocketViewer] = set()
        self._by_principal: Counter[str] = Counter()
        self._is_closed = False

    async def serve(
        self, request: web.Request, ws: web.WebSocketResponse, camera: str, feed: Feed
    ) -> None:
        """Send a feed until the client leaves, may not watch any more, or the picture ends."""
        services = self._services
        principal = request[PRINCIPAL].principal.id
        is_full = len(self._viewers) >= MAX_SOCKETS
        if self._is_closed or is_full or self._by_principal[principal] >= MAX_PER_PRINCIPAL:
            end = RESTART if self._is_closed else BUSY
            ENDED.labels(end.name).inc()
            with contextlib.suppress(ConnectionError):
                await end_socket(ws, end)
            return

        async def pace(size: int) -> None:
            BYTES.inc(size)
            await services.bounds.pace(principal, size)

        viewer = SocketViewer(ws, pace)
        self._viewers.add(viewer)
        self._by_principal[principal] += 1
        VIEWERS.set(len(self._viewers))
        watch = asyncio.create_task(_watch_rights(request, viewer, camera))
        try:
            try:
                await services.upstreams.join(camera, feed, viewer)
            except ConfigError:
                viewer.end(NO_RELAY)
            await viewer.serve()
        finally:
            services.upstreams.leave(camera, feed, viewer)
            self._viewers.discard(viewer)
            self._by_principal[principal] -= 1
            if not self._by_principal[principal]:
                del self._by_principal[principal]
            VIEWERS.set(len(self._viewers))
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def close(self) -> None:
        """Send all viewers to another worker; take no more."""
        self._is_closed = True
        for viewer in self._viewers:
            viewer.end(RESTART)
        await self._services.upstreams.close()


LIVE_SOCKETS: web.AppKey[LiveSockets] = web.AppKey("live-sockets", LiveSockets)


async def _watch_rights(request: web.Request, viewer: SocketViewer, camera: str) -> None:
    """Note who watches, and end the picture where he may not any more."""
    checked_s = time.monotonic()
    while True:
        note_read(request, Permission.FOOTAGE_READ, camera)
        await asyncio.sleep(CHECK_S)
        try:
            reason = await is_still_allowed(request)
            checked_s = time.monotonic()
        except StoreError:
            reason = "unchecked" if time.monotonic() - checked_s >= UNCHECKED_S else None
        if reason in (None, "rights-changed"):  # he may watch this camera all the same
            continue
        end = SIGNED_OUT if reason == "signed-out" else NOT_ALLOWED
        ENDED.labels(end.name).inc()
        viewer.end(end)
        return
