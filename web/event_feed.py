"""One poller of the catalog for all event streams of a worker.

catalog ──► EventFeed, one query a second ──► Subscription, a bounded queue ──► stream
                                               full: emptied, and read from the catalog instead

The cost of polling does not depend on how many clients there are. Without clients nothing is read.
States are compared with those of the poll before; only a change is an event.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any

from prometheus_client import Counter as Metric
from prometheus_client import Gauge

from domain.camera_state import STATE_LIMITS, camera_state
from domain.errors import StoreError
from domain.event_filter import scopes_above
from domain.live_sections import OVERLAP_SHOWN_MS
from stores.catalog import Catalog
from stores.catalog.edges import EdgeDevice, list_edges
from stores.catalog.live_events import Position, read_events
from stores.catalog.pool import Row
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from streams.storage import LazyStore
from web.problems import ProblemError
from web.schemas.events import Kind

KINDS: tuple[Kind, ...] = ("detection", "camera", "device", "footage")
BY_DEFAULT = KINDS[:3]
"""What a client gets that names no kind."""

POLL_S = 1.0
STATES_S = 5.0
PAGE = 1_000
PAGES_PER_POLL = 10
MAX_STREAMS = 500
MAX_PER_PRINCIPAL = 8
MAX_QUEUED = 1_000
MAX_QUEUED_BYTES = 2 << 20
ITEMS_PER_EVENT = 200

STREAMS = Gauge("vigil_event_streams", "Event streams that are open", registry=REGISTRY)
OVERFLOWS = Metric(
    "vigil_event_stream_overflows",
    "Times that a client was too slow for its queue",
    registry=REGISTRY,
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamMessage:
    """One event for a client. `position`: all detections up to there are sent with it."""

    name: str
    data: str
    position: Position


@dataclass(eq=False)
class Subscription:
    """What one stream wants, and its queue."""

    principal: str
    scopes: Mapping[Kind, tuple[str, ...]]
    """By kind. A kind that is not wanted is missing."""
    queue: deque[StreamMessage] = field(default_factory=deque)
    queued_bytes: int = 0
    overflowed: bool = False
    end_reason: str = ""
    """Why the stream must end; empty: it need not."""
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    def push(self, message: StreamMessage) -> None:
        """Queue an event. Where the queue is full, it is emptied: the stream reads on by itself."""
        if self.overflowed:
            return
        too_large = self.queued_bytes + len(message.data) > MAX_QUEUED_BYTES
        if too_large or len(self.queue) >= MAX_QUEUED:
            OVERFLOWS.inc()
            self.reset()
            self.overflowed = True
        else:
            self.queue.append(message)
            self.queued_bytes += len(message.data)
        self._ready.set()

    def reset(self) -> None:
        """Empty the queue, and fill it from now on."""
        self.queue.clear()
        self.queued_bytes = 0
        self.overflowed = False

    def end(self, reason: str) -> None:
        """Let the stream say why it ends, and end."""
        self.end_reason = self.end_reason or reason
        self._ready.set()

    async def wait(self, seconds: float) -> None:
        """Return when there is something to do, or after some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()

    def take(self) -> StreamMessage | None:
        """Return the next event; None: there is none yet."""
        if not self.queue:
            self._ready.clear()
            return None
        message = self.queue.popleft()
        self.queued_bytes -= len(message.data)
        return message


class EventFeed:
    """Polls the catalog while there are subscriptions."""

    def __init__(self, catalog: LazyStore[Catalog], clock_ms: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock_ms = clock_ms
        self._subscriptions: set[Subscription] = set()
        self._by_scope: dict[tuple[Kind, str], set[Subscription]] = defaultdict(set)
        self._by_principal: Counter[str] = Counter()
        self._states: dict[Kind, dict[str, dict[str, Any]]] = {"camera": {}, "device": {}}
        self._position: Position | None = None
        self._poller: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    @property
    def position(self) -> Position:
        """Up to where events were given to the queues."""
        assert self._position is not None
        return self._position

    async def subscribe(
        self, principal: str, scopes: Mapping[Kind, tuple[str, ...]]
    ) -> Subscription:
        """Add a stream; raise ProblemError: 429 too many of this principal, 503 too many in all."""
        if self._is_closed or len(self._subscriptions) >= MAX_STREAMS:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "This worker takes no more event streams. Try again.",
                {"Retry-After": "5"},
            )
        if self._by_principal[principal] >= MAX_PER_PRINCIPAL:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"You have {MAX_PER_PRINCIPAL} event streams open. Close one, or use one for more.",
                {"Retry-After": "30"},
            )
        subscription = Subscription(principal, scopes)
        self._subscriptions.add(subscription)
        self._by_principal[principal] += 1
        STREAMS.set(len(self._subscriptions))
        try:
            await self._open()
        except BaseException:
            self.unsubscribe(subscription)
            raise
        for kind, each in scopes.items():
            for scope in each:
                self._by_scope[kind, scope].add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a stream."""
        if subscription not in self._subscriptions:
            return
        self._subscriptions.remove(subscription)
        self._by_principal[subscription.principal] -= 1
        if not self._by_principal[subscription.principal]:
            del self._by_principal[subscription.principal]
        for kind, each in subscription.scopes.items():
            for scope in each:
                found = self._by_scope.get((kind, scope), set())
                found.discard(subscription)
                if not found:
                    self._by_scope.pop((kind, scope), None)
        STREAMS.set(len(self._subscriptions))

    async def close(self) -> None:
        """End all streams; take no more."""
        self._is_closed = True
        for each in self._subscriptions:
            each.end("restart")
        if self._poller is not None:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller

    def snapshot(self, subscription: Subscription) -> list[StreamMessage]:
        """Return the states now of all that a stream wants."""
        messages = []
        for kind, states in self._states.items():
            scopes = set(subscription.scopes.get(kind, ()))
            if scopes:
                found = [
                    state
                    for name, state in states.items()
                    if not scopes.isdisjoint(scopes_above(name))
                ]
                messages += self._state_messages(kind, found)
        return messages

    # -- polling

    async def _open(self) -> None:
        async with self._opening:
            if self._poller is None or self._poller.done():
                catalog = await self._catalog.get()
                with all_tenants():
                    self._position = (await read_events(catalog, None, 0)).end
                await self.poll_states()
                self._poller = asyncio.create_task(self._poll_forever())

    async def _poll_forever(self) -> None:
        states_due = time.monotonic() + STATES_S
        failed = False
        while self._subscriptions:
            await asyncio.sleep(POLL_S)
            try:
                await self.poll_detections()
                if time.monotonic() >= states_due:
                    states_due = time.monotonic() + STATES_S
                    await self.poll_states()
                failed = False
            except StoreError as error:
                if not failed:
                    log.warning("event streams wait for the catalog: %s", error)
                failed = True

    async def poll_detections(self) -> None:
        """Give the events since the last poll to the queues."""
        catalog = await self._catalog.get()
        for _ in range(PAGES_PER_POLL):
            with all_tenants():  # each stream gets what its caller may see
                page = await read_events(catalog, self.position, PAGE)
            if page.lost:
                self._position = page.start
                for each in self._subscriptions:
                    each.push(lost_message("the events are not kept any more", page.start))
            for event in page.events:
                self._position = event.position
                message = StreamMessage("detection", event.text, event.position)
                for each in self._wanting("detection", event.camera):
                    each.push(message)
            self._position = page.end
            if len(page.events) < PAGE:
                return

    async def poll_states(self) -> None:
        """Compare all states with those of the last poll, and give changes to the queues."""
        catalog = await self._catalog.get()
        now_ms = self._clock_ms()
        with all_tenants():
            cameras = await catalog.rows("camera_states", now_ms)
            devices = await list_edges(catalog)
        self._update("camera", {row["id"]: _camera_json(row, now_ms) for row in cameras})
        self._update(
            "device", {f"{each.site}/{each.edge}": _device_json(each, now_ms) for each in devices}
        )

    def _update(self, kind: Kind, states: dict[str, dict[str, Any]]) -> None:
        before = self._states[kind]
        self._states[kind] = states
        changes: dict[Subscription, list[dict[str, Any]]] = defaultdict(list)
        for name, state in states.items():
            if _facts(before.get(name)) != _facts(state):
                for each in self._wanting(kind, name):
                    changes[each].append(state)
        if kind == "camera":
            self._push_footage(before, states)
        for name in before.keys() - states.keys():
            for each in self._wanting(kind, name):
                changes[each].append({**before[name], "state": "removed"})
        for subscription, found in changes.items():
            for message in self._state_messages(kind, found):
                subscription.push(message)

    def _push_footage(
        self, before: dict[str, dict[str, Any]], states: dict[str, dict[str, Any]]
    ) -> None:
        """Queue which cameras have newer footage than at the last poll."""
        newer: dict[Subscription, list[dict[str, Any]]] = defaultdict(list)
        for name, state in states.items():
            if name in before and before[name]["last_ms"] != state["last_ms"]:
                for each in self._wanting("footage", name):
                    newer[each].append({"id": name, "last_ms": state["last_ms"]})
        for subscription, found in newer.items():
            for message in self._state_messages("footage", found):
                subscription.push(message)

    def _wanting(self, kind: Kind, resource: str) -> set[Subscription]:
        found: set[Subscription] = set()
        for scope in scopes_above(resource):
            found |= self._by_scope.get((kind, scope), set())
        return found

    def _state_messages(self, kind: Kind, states: list[dict[str, Any]]) -> list[StreamMessage]:
        pages = [states[at : at + ITEMS_PER_EVENT] for at in range(0, len(states), ITEMS_PER_EVENT)]
        now_ms = self._clock_ms()
        name = "devices" if kind == "device" else "cameras"
        return [
            StreamMessage(kind, json.dumps({"now_ms": now_ms, name: page}), self.position)
            for page in pages
        ]


def lost_message(reason: str, position: Position) -> StreamMessage:
    """Return the event that says: detections before this position were not sent."""
    return StreamMessage("lost", json.dumps({"reason": reason}), position)


_VOLATILE = frozenset({"last_ms", "since_ms", "heard_ms", "spool_waiting", "disk_free_bytes"})


def _facts(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what makes a state another one."""
    if state is None:
        return None
    return {name: value for name, value in state.items() if name not in _VOLATILE}


def _camera_json(row: Row, now_ms: int) -> dict[str, Any]:
    state, since_ms = camera_state(
        now_ms=now_ms,
        created_ms=row["created_ms"],
        last_ms=row["last_ms"],
        run_started_ms=row["run_started_ms"],
    )
    overlap_ms = row["overlap_ms"]
    return {
        "id": row["id"],
        "state": state,
        "since_ms": since_ms,
        "last_ms": row["last_ms"],
        "retired_ms": row["retired_ms"],
        "two_recorders": overlap_ms is not None and now_ms - overlap_ms < OVERLAP_SHOWN_MS,
    }


def _device_json(device: EdgeDevice, now_ms: int) -> dict[str, Any]:
    whole = asdict(device)
    states = [
        {name: camera.get(name) for name in ("camera", "state", "detail")}
        for camera in device.cameras
    ]
    names = (
        *("site", "edge", "heard_ms", "software", "spool_waiting", "disk_free_bytes"),
        *("config_version", "config_state", "config_detail", "clock_state"),
    )
    return {
        **{name: whole[name] for name in names},
        "state": "silent" if now_ms - device.heard_ms > STATE_LIMITS.edge_silent_ms else "ok",
        "disk_low": device.disk_free_bytes < STATE_LIMITS.disk_low_bytes,
        "cameras": states,
    }
