"""/api/v1/events: detections, and states of cameras and devices, as server-sent events.

    connect    Last-Event-ID ──► what was missed, from the catalog ──► states now ──► what is new
    slow       the queue is full: the same again, from the last event that was sent
    audit      one entry a minute for each scope whose detections are streamed
    cut        rights are checked every 10 s; a worker that stops says so

Each event has an id, a position that every worker understands. Detections come in its order, each
once. States say what is, so that a repeated one does no harm.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Iterable

from aiohttp import web
from faust.web import View

from domain.access import Permission, scopes_with
from domain.errors import InvalidIdError, StoreError
from domain.event_filter import narrow
from domain.identity import check_camera, check_site
from stores.catalog.live_events import Position, parse_position, read_events
from web.access import in_list
from web.audit import note_read
from web.bodies import parse_query
from web.event_feed import BY_DEFAULT, KINDS, EventFeed, StreamMessage, Subscription, lost_message
from web.middleware import PRINCIPAL, is_still_allowed
from web.operations import MediaBody, Operation, describe
from web.problems import not_found
from web.schemas.events import EVENT_MODELS, EventsQuery, Kind
from web.services import SERVICES, Services

HEARTBEAT_S = 15.0
CHECK_S = 10.0
"""How often the caller's rights are checked. Sessions and keys are cached for 5 s besides."""
UNCHECKED_S = 25.0
"""A stream ends where the rights could not be checked for this long."""
GRACE_S = 3.0
"""How long a stream that must end may take to say so."""
MAX_REPLAY = 20_000
"""Most events that are sent to a client that was away. Each has at most 200 detections."""
REPLAY_PAGE = 500
REPLAYS_AT_ONCE = 4
MAX_WRITE = 64 << 10
RETRY_MS = (1_000, 4_000)
"""When a client connects again, so that not all come at once after a worker stopped."""

PERMISSIONS: dict[Kind, Permission] = {
    "detection": Permission.DETECTIONS_READ,
    "camera": Permission.CAMERA_VIEW,
    "device": Permission.CAMERA_VIEW,
    "footage": Permission.CAMERA_VIEW,
}
TOO_MANY = "This principal has too many streams open."
DESCRIPTION = """\
An `EventSource` can read it. A client that connects again sends the id of its last event. It gets
the detections that it missed, each once and in order; then the states of all cameras and devices.
Events are kept for 15 minutes. Where some are not kept any more, an event `lost` says so.

| event | `data` |
|---|---|
| `detection` | `{"camera", "run", "model", "model_version", "detections"}`: new objects, at most \
200; also of footage that arrives late |
| `camera` | `{"now_ms", "cameras"}`: at first all, later those whose state changed |
| `device` | `{"now_ms", "devices"}`: the same for edge devices |
| `footage` | `{"now_ms", "cameras"}`: cameras with newer footage; only where `kind` names it |
| `lost` | `{"reason"}`: detections before this event were not sent |
| `heartbeat` | `{"now_ms"}`: nothing happened for 15 s |
| `end` | `{"reason"}`: the server closes the stream; connect again |
"""
_replays = asyncio.Semaphore(REPLAYS_AT_ONCE)


class EventsView(View):
    """A stream of events."""

    view_path = "/api/v1/events"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(
        get=Operation(
            "Stream events",
            answer=MediaBody(
                "text/event-stream", "Server-sent events.", is_text=True, models=EVENT_MODELS
            ),
            query=EventsQuery,
            headers={"Last-Event-ID": "The id of the last event that the client got."},
            problems={404: "One of the cameras or sites is not visible to you.", 429: TOO_MANY},
            description=DESCRIPTION,
        )
    )

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Send events until the client leaves."""
        services = request.app[SERVICES]
        query = parse_query(request, EventsQuery)
        scopes = _wanted(request, query)
        given = request.headers.get("Last-Event-ID") or query.last_event_id
        principal = request[PRINCIPAL].principal.id
        subscription = await services.events.subscribe(principal, scopes)
        try:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",  # nginx must not collect it
                }
            )
            await response.prepare(request)
            stream = _EventStream(request, response, subscription, given)
            watch = asyncio.create_task(stream.watch())
            try:
                await stream.run()
            finally:
                watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watch
            return response
        finally:
            services.events.unsubscribe(subscription)


def _wanted(request: web.Request, query: EventsQuery) -> dict[Kind, tuple[str, ...]]:
    """Return the scopes of each kind that the caller wants and may see; raise ProblemError."""
    kinds = query.kind or BY_DEFAULT
    try:
        cameras = [check_camera(each) for each in query.camera]
        sites = [check_site(each) for each in query.site]
    except InvalidIdError as error:
        raise not_found(str(error)) from None
    principal = request[PRINCIPAL].principal
    found: dict[Kind, tuple[str, ...]] = {}
    for kind in KINDS:
        if kind not in kinds:
            continue
        visible = scopes_with(principal, PERMISSIONS[kind])
        for wanted in (*cameras, *sites):
            # The same for what exists and for what does not.
            if not narrow(visible, [wanted]):
                raise not_found(f"There is no {wanted} here.")
        scopes = narrow(visible, [*cameras, *sites])
        if kind == "device":  # a device belongs to a site, not to a camera
            scopes = tuple(each for each in scopes if each.count("/") < 2)
        if scopes:
            found[kind] = scopes
    return found


class _EventStream:
    """One client's stream."""

    def __init__(
        self,
        request: web.Request,
        response: web.StreamResponse,
        subscription: Subscription,
        last_event_id: str | None,
    ) -> None:
        self._request = request
        self._services: Services = request.app[SERVICES]
        self._feed: EventFeed = self._services.events
        self._response = response
        self._subscription = subscription
        self._sent: Position | None = None
        """Every wanted detection up to there was sent. None: the client begins now."""
        self._is_unknown = False
        if last_event_id:
            self._sent = parse_position(last_event_id)
            self._is_unknown = self._sent is None

    async def run(self) -> None:
        """Send events until the subscription ends, or the client leaves (ConnectionError)."""
        await self._response.write(f"retry: {random.randint(*RETRY_MS)}\n\n".encode())  # noqa: S311
        while not self._subscription.end_reason:
            await self._catch_up()
            await self._follow()
        end = json.dumps({"reason": self._subscription.end_reason})
        await self._response.write(f"event: end\ndata: {end}\n\n".encode())

    async def _catch_up(self) -> None:
        """Send what the client missed, and all states."""
        # Together, without an await: what is not in the queue is up to `target`.
        self._subscription.reset()
        target = self._feed.position
        states = self._feed.snapshot(self._subscription)
        if self._is_unknown:
            self._is_unknown = False
            await self._send([lost_message("the Last-Event-ID is not one of this server", target)])
        if self._sent is None:
            self._sent = target
        elif "detection" in self._subscription.scopes:
            await self._replay(self._sent, target)
        await self._send(states)

    async def _replay(self, after: Position, target: Position) -> None:
        scopes = self._subscription.scopes["detection"]
        sent = 0
        while not self._subscription.end_reason:
            async with _replays:
                catalog = await self._services.catalog.get()
                page = await read_events(catalog, after, REPLAY_PAGE, scopes)
            if page.lost:
                self._sent = page.start
                await self._send([lost_message("the events are not kept any more", page.start)])
            found = [each for each in page.events if each.position <= target]
            await self._send(
                [StreamMessage("detection", each.text, each.position) for each in found]
            )
            sent += len(found)
            if len(found) < REPLAY_PAGE:
                break
            if sent >= MAX_REPLAY:
                self._sent = target
                await self._send([lost_message("there were too many events to send", target)])
                break
            after = page.end
        if self._sent is None or self._sent < target:
            self._sent = target

    async def _follow(self) -> None:
        """Send new events until the queue overflows, or the subscription ends."""
        subscription = self._subscription
        heartbeat_due = time.monotonic() + HEARTBEAT_S
        while not subscription.overflowed and not subscription.end_reason:
            messages, size = [], 0
            while size < MAX_WRITE and (message := subscription.take()) is not None:
                messages.append(message)
                size += len(message.data)
            await self._send(messages)
            if messages:
                continue
            if time.monotonic() >= heartbeat_due:
                heartbeat_due = time.monotonic() + HEARTBEAT_S
                data = json.dumps({"now_ms": self._services.clock_ms()})
                await self._send([StreamMessage("heartbeat", data, self._feed.position)])
            await subscription.wait(max(0.0, heartbeat_due - time.monotonic()))

    async def _send(self, messages: Iterable[StreamMessage]) -> None:
        lines = []
        for message in messages:
            sent = self._sent
            at = message.position
            is_newer = sent is None or at.epoch != sent.epoch or at > sent
            if message.name == "detection" and not is_newer:
                continue  # another worker, which was ahead of this one, has sent it
            if is_newer:
                self._sent = at
            lines.append(f"event: {message.name}\nid: {self._sent}\ndata: {message.data}\n\n")
        if lines:
            await self._response.write("".join(lines).encode())

    async def watch(self) -> None:
        """End the stream where the client left, may not have it any more, or has other rights."""
        checked_s = time.monotonic()
        reason = None
        while reason is None:
            for scope in self._subscription.scopes.get("detection", ()):
                note_read(self._request, Permission.DETECTIONS_READ, scope)
            await asyncio.sleep(CHECK_S)
            transport = self._request.transport
            if transport is None or transport.is_closing():
                reason = "gone"  # aiohttp says so only at the next write
                break
            try:
                reason = await is_still_allowed(self._request)
                checked_s = time.monotonic()
            except StoreError:
                if time.monotonic() - checked_s >= UNCHECKED_S:
                    reason = "unchecked"
        self._subscription.end(reason)
        await asyncio.sleep(GRACE_S)
        if self._request.transport is not None:  # it does not read: nothing more reaches it
            self._request.transport.abort()
