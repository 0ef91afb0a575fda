"""The internal address of link workers: only other workers may connect to it.

    Authorization: vigil-link TIME.HEX      HEX = HMAC-SHA-256 of time, method and path with query

The secret itself is never sent. A request that somebody overhears is good for the same path for a
minute. Where others can read the network, set a certificate: VIGIL_LINK_TLS_CERTIFICATE_FILE.
"""

import asyncio
import hmac
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from domain.errors import ConfigError
from domain.times import utc_ms
from stores import tls
from stores.http_server import PROBLEM_TYPE, BoundedRunner, ConnectionLimits, problem_body
from stores.tls_site import TlsSite
from streams.server_certificate import CIPHERS
from streams.settings import Settings
from web.types import Handler

SCHEME = "vigil-link"
VALID_MS = 60_000
MIN_SECRET_CHARS = 32
INTERNAL_PREFIX = "/internal/v1/"
CONNECT_S = 3.0


class LinkSecret:
    """Signs and checks requests between workers. Raises ConfigError without a usable secret."""

    def __init__(self, settings: Settings, clock_ms: Callable[[], int] = utc_ms) -> None:
        given = settings.link_secret.get_secret_value()
        if given and len(given) < MIN_SECRET_CHARS:
            raise ConfigError(
                f"VIGIL_LINK_SECRET is too short: use at least {MIN_SECRET_CHARS} characters, such "
                "as the output of `openssl rand -hex 32`."
            )
        session = settings.session_secret.get_secret_value()
        if not given and len(session) < MIN_SECRET_CHARS:
            raise ConfigError(
                "Set VIGIL_LINK_SECRET or VIGIL_SESSION_SECRET, to the same value for web workers "
                "and link workers."
            )
        self._key = given.encode() or hmac.digest(session.encode(), b"link workers", "sha256")
        self._clock_ms = clock_ms

    def headers(self, method: str, path: str) -> dict[str, str]:
        """Return the headers of a request; `path`: with its query."""
        now_ms = self._clock_ms()
        return {"Authorization": f"{SCHEME} {now_ms}.{self._mac(now_ms, method, path)}"}

    def is_valid(self, authorization: str, method: str, path: str) -> bool:
        """Return whether a worker that has the secret sent this request within a minute."""
        scheme, _, value = authorization.partition(" ")
        time, _, mac = value.partition(".")
        if scheme.lower() != SCHEME or not (time.isascii() and time.isdecimal() and len(time) < 16):
            return False
        if abs(self._clock_ms() - int(time)) > VALID_MS:
            return False
        expected = self._mac(int(time), method, path)
        return hmac.compare_digest(mac.encode(), expected.encode())

    def _mac(self, time_ms: int, method: str, path: str) -> str:
        text = f"{time_ms}\n{method}\n{path}".encode()
        return hmac.new(self._key, text, "sha256").hexdigest()


def internal_application(secret: LinkSecret) -> web.Application:
    """Return an application that answers workers only. The caller adds routes to it."""

    @web.middleware
    async def check_worker(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not secret.is_valid(given, request.method, request.raw_path):
            detail = "Only workers with the same VIGIL_LINK_SECRET, and the right time, may ask."
            return web.Response(
                status=HTTPStatus.UNAUTHORIZED,
                body=problem_body(HTTPStatus.UNAUTHORIZED, detail),
                content_type=PROBLEM_TYPE,
            )
        return await handler(request)

    return web.Application(middlewares=[check_worker])


@asynccontextmanager
async def serve_internal(application: web.Application, settings: Settings) -> AsyncIterator[str]:
    """Serve the application inside the block; yield its address: http(s)://host:port.

    Raises ConfigError where the port is taken, or the certificate cannot be used.
    """
    context = _server_context(settings)
    limits = ConnectionLimits(total=2 * settings.link_sockets, is_exempt=lambda _: True)
    runner = BoundedRunner(application, limits, "vigil")
    await runner.setup()
    site = TlsSite(runner, settings.link_host, settings.link_port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"VIGIL_LINK_PORT {settings.link_port} cannot be used: {error.strerror}. "
            "Choose another."
        ) from error
    port = runner.addresses[0][1]
    host = settings.link_address or settings.link_host
    host = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if context else 'http'}://{host}:{port}"
    finally:
        await runner.cleanup()


def _server_context(settings: Settings) -> ssl.SSLContext | None:
    certificate, key = settings.link_tls_certificate_file, settings.link_tls_key_file
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"VIGIL_LINK_TLS_CERTIFICATE_FILE ({certificate}) or VIGIL_LINK_TLS_KEY_FILE ({key}) "
            f"cannot be used: {error}."
        ) from None
    return context


class InternalClient:
    """Connects to the internal addresses of link workers. Use as an async context manager."""

    def __init__(self, settings: Settings, secret: LinkSecret | None = None) -> None:
        self._settings = settings
        self._secret = secret or LinkSecret(settings)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; this sends nothing."""
        context = tls.client_context(self._settings.link_ca_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, address: str, path: str, body: bytes, within_s: float) -> bytes:
        """POST to a worker and return its answer. Raises aiohttp.ClientError, TimeoutError."""
        assert self._session is not None
        url = URL(f"{address}{path}")
        headers = self._secret.headers("POST", url.raw_path_qs)
        async with (
            asyncio.timeout(within_s),
            self._session.post(url, data=body, headers=headers, raise_for_status=True) as response,
        ):
            return await response.read()

    async def connect(
        self, address: str, path: str, **options: Any
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket to a worker: its address, and a path with its query.

        `options`: as for aiohttp's ws_connect. Raises aiohttp.ClientError, TimeoutError.
        """
        assert self._session is not None
        url = URL(f"{address}{path}")
        headers = self._secret.headers("GET", url.raw_path_qs)
        return await self._session.ws_connect(url, headers=headers, **options)
