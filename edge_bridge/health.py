"""The local HTTP port: health, metrics, and the page if it has a password."""

import ssl
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import ConfigError
from edge_bridge.config import HttpConfig
from edge_bridge.http_errors import SERVER_NAME, install
from stores.http_server import BoundedRunner, ConnectionLimits
from stores.tls_site import TlsSite

if TYPE_CHECKING:  # OpenCV is slow to load
    from edge_bridge.page.views import Page

LIMITS = ConnectionLimits(total=512, per_address=64)
"""A browser opens six connections to a server."""


class HealthServer:
    """GET /healthz: 200, or 503 if all cameras fail, with the report; no secret is in it.

    GET /metrics: Prometheus. Use as an async context manager.
    """

    def __init__(
        self, config: HttpConfig, report: Callable[[], dict[str, Any]], page: "Page | None" = None
    ) -> None:
        self._config = config
        self._report = report
        self._page = page
        self.port = config.port
        app = web.Application()
        install(app)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        if page is not None:
            page.add_to(app)
        self._runner = BoundedRunner(app, LIMITS, SERVER_NAME)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            site = TlsSite(
                self._runner, self._config.host, self._config.port, ssl_context=self._tls()
            )
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"http.port {self._config.port} cannot be used: {error.strerror}. Choose another."
            ) from error
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        if self._page is not None:
            self._page.close()

    def _tls(self) -> ssl.SSLContext | None:
        certificate = self._config.certificate_file
        if certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(certificate, self._config.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"http.certificate_file {certificate} and its key cannot be used: {error}."
            ) from error
        return context

    async def _health(self, _: web.Request) -> web.Response:
        report = self._report()
        states = [camera["state"] for camera in report["cameras"]]
        healthy = not states or any(state != "failing" for state in states)
        return web.json_response(report, status=200 if healthy else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
