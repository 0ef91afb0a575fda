"""Vigil's HTTP servers as strangers reach them: bounded connections, errors as problem details.

accept ──► header of a request within 10 s ──► handler ──► the response is taken within 60 s
 │          late: closed                                    not taken: closed
 └─ too many of one address: 503; too many in all: the one that waits longest is closed

aiohttp alone waits an hour for the rest of a header. Each waiting connection costs a descriptor,
and a stranger needs no key for that.
"""

import asyncio
import contextlib
import ipaddress
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

FIRST_REQUEST_S = 10.0
"""A new connection has this long for the header of its first request."""
NEXT_REQUEST_S = 75.0
"""The same for each further one. Longer than a proxy keeps its idle connections (60 s)."""
UNREAD_S = 60.0
"""A client must take some bytes of its response within this time."""
CHECK_S = 2.5
MAX_CONNECTIONS = 4_000
MAX_PER_ADDRESS = 256

PROBLEM_TYPE = "application/problem+json"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


def problem_body(
    status: int,
    detail: str,
    members: Mapping[str, Any] = MappingProxyType({}),
    kind: tuple[str, str] | None = None,
) -> bytes:
    """Return problem details (RFC 9457) as JSON.

    `members`: more of them, for programs; `kind`: its URI and title.
    """
    uri, title = kind if kind is not None else ("about:blank", HTTPStatus(status).phrase)
    problem = {"type": uri, "title": title, "status": status, "detail": detail}
    return json.dumps({**members, **problem}).encode()


def network_of(address: str) -> str:
    """Return who is counted as one for an address: of IPv6 the first 64 bits, one household."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections a server holds."""

    total: int = MAX_CONNECTIONS
    per_address: int = MAX_PER_ADDRESS
    is_exempt: Callable[[str], bool] = field(default=lambda _: False)
    """Whether an address has no limit of its own: a proxy's connections are many clients'."""


class HttpConnection(Protocol):
    """What the limits need of a connection."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""

    @property
    def unread_bytes(self) -> int:
        """Bytes of its response that the client has not taken yet."""

    def force_close(self) -> None:
        """Close the connection."""


@dataclass(slots=True)
class _Activity:
    """Since when (steady seconds) a connection waits, for a request or for its client to read."""

    network: str | None
    since_s: float
    allowed_s: float
    unread_bytes: int = 0


class ConnectionTable:
    """Decides which connections are closed. `now_s`: a steady clock in seconds."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._activities: dict[HttpConnection, _Activity] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._activities)

    def opened(self, connection: HttpConnection, address: str, now_s: float) -> bool:
        """Count a new connection; False: its address has too many already.

        Where there are too many in all, the one that waits longest for a request is closed.
        """
        network = None if self._limits.is_exempt(address) else network_of(address)
        if network is not None:
            if self._by_network[network] >= self._limits.per_address:
                return False
            self._by_network[network] += 1
        if len(self._activities) >= self._limits.total:
            waiting = [each for each in self._activities if not each.is_busy]
            if waiting:
                oldest = min(waiting, key=lambda each: self._activities[each].since_s)
                self._close(oldest)
        self._activities[connection] = _Activity(network, now_s, FIRST_REQUEST_S)
        return True

    def closed(self, connection: HttpConnection) -> None:
        """Count a connection no more."""
        activity = self._activities.pop(connection, None)
        if activity is not None and (network := activity.network) is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]

    def check(self, now_s: float) -> int:
        """Close what waits too long; return how many."""
        late = []
        for each, activity in self._activities.items():
            if each.is_busy:
                unread_bytes = each.unread_bytes
                if not unread_bytes or unread_bytes != activity.unread_bytes:
                    activity.since_s = now_s
                    activity.unread_bytes = unread_bytes
                activity.allowed_s = NEXT_REQUEST_S
                if now_s - activity.since_s >= UNREAD_S:
                    late.append(each)
            elif now_s - activity.since_s >= activity.allowed_s:
                late.append(each)
        for each in late:
            self._close(each)
        return len(late)

    def _close(self, connection: HttpConnection) -> None:
        self.closed(connection)
        connection.force_close()


class BoundedConnection(RequestHandler):
    """aiohttp's connection; its own errors are problem details without what it could not read."""

    __slots__ = ("server_name",)

    server_name: str

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self._request_in_progress

    @property
    def unread_bytes(self) -> int:
        """Bytes of its response that the client has not taken yet."""
        transport = self.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def force_close(self) -> None:
        """Close the connection; drop what the client has not taken."""
        transport = self.transport
        super().force_close()
        with contextlib.suppress(AttributeError):  # a TLS transport that is lost has no buffer
            if transport is not None and transport.get_write_buffer_size():
                transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to a request that cannot be read, or whose handler failed."""
        is_lost = isinstance(exc, ConnectionError)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_lost:
            self.log_exception("A request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("The response was begun: the error cannot be sent.")
        return self._problem(status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response; errors that aiohttp raises before any handler are problems, too."""
        if isinstance(resp, web.HTTPException) and resp.status >= HTTPStatus.BAD_REQUEST:
            resp = self._problem(resp.status)
        return await super().finish_response(request, resp, start_time)

    def _problem(self, status: int) -> web.Response:
        detail = "The request cannot be read, or asks for what this server does not support."
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            detail = "Internal error. The server's log has the details."
        response = web.Response(
            status=status,
            body=problem_body(status, detail),
            content_type=PROBLEM_TYPE,
            headers={
                "Cache-Control": "no-store",
                "Server": self.server_name,
                "X-Content-Type-Options": "nosniff",
            },
        )
        response.force_close()
        return response


class BoundedServer(web.Server):
    """aiohttp's server with limits."""

    def __init__(
        self, like: web.Server, limits: ConnectionLimits, name: str, **kwargs: Any
    ) -> None:
        super().__init__(
            like.request_handler,
            request_factory=like.request_factory,
            handler_cancellation=like.handler_cancellation,
            **kwargs,
        )
        self._name = name
        self.table = ConnectionTable(limits)

    def __call__(self) -> BoundedConnection:
        """Return the protocol of a new connection."""
        connection = BoundedConnection(self, loop=self._loop, **self._kwargs)
        connection.server_name = self._name
        return connection

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection, or refuse it."""
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        connection = cast("BoundedConnection", handler)
        if not self.table.opened(connection, address, self._loop.time()):
            transport.write(_REFUSAL)
            handler.force_close()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count the connection no more."""
        self.table.closed(cast("BoundedConnection", handler))
        super().connection_lost(handler, exc)


class BoundedRunner(web.AppRunner):
    """Runs an application on a BoundedServer."""

    __slots__ = ("_limits", "_name", "_watch")

    def __init__(
        self,
        app: web.Application,
        limits: ConnectionLimits,
        name: str,
        *,
        cancel_handlers: bool = False,
    ) -> None:
        """`name`: what the Server header says, without versions.

        `cancel_handlers`: a handler is cancelled when its client goes away.
        """
        super().__init__(app, access_log=None, handler_cancellation=cancel_handlers)
        self._limits = limits
        self._name = name
        self._watch: asyncio.Task[None] | None = None

    @property
    def table(self) -> ConnectionTable:
        """The open connections."""
        assert isinstance(self.server, BoundedServer)
        return self.server.table

    async def setup(self) -> None:
        """Prepare the server, and watch its connections."""
        await super().setup()
        self._watch = asyncio.create_task(self._check_forever())

    async def cleanup(self) -> None:
        """Close the server."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await super().cleanup()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        kwargs = {"loop": made._loop, **made._kwargs}
        return BoundedServer(made, self._limits, self._name, **kwargs)

    async def _check_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            self.table.check(loop.time())
