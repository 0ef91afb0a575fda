"""A process's metrics and health over HTTP, for what supervises it. Loopback by default."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import ConfigError
from stores.http_server import BoundedRunner, ConnectionLimits
from streams import metrics
from streams.server_certificate import ServerCertificate, tls_site
from streams.settings import Settings


@asynccontextmanager
async def serve_probe(ready: Callable[[], bool], settings: Settings) -> AsyncIterator[None]:
    """Serve /metrics, /healthz (the process runs) and /readyz (it handles events) inside the block.

    Over HTTPS where the settings name a certificate. Raises ConfigError where the port is taken or
    the certificate cannot be used.
    """
    host, port = settings.metrics_host, settings.metrics_port
    certificate = _certificate(settings)
    runner = BoundedRunner(_application(ready), ConnectionLimits(total=512), "vigil")
    await runner.setup()
    site = (
        web.TCPSite(runner, host, port)
        if certificate is None
        else tls_site(runner, host, port, certificate)
    )
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"VIGIL_METRICS_PORT {port} cannot be used: {error.strerror}. Choose another."
        ) from error
    watch = asyncio.create_task(certificate.watch()) if certificate is not None else None
    try:
        yield
    finally:
        if watch is not None:
            watch.cancel()
        await runner.cleanup()


def _certificate(settings: Settings) -> ServerCertificate | None:
    files = settings.metrics_tls_certificate_file, settings.metrics_tls_key_file
    if files[0] is None or files[1] is None:
        return None
    return ServerCertificate(files[0], files[1], setting="VIGIL_METRICS_TLS", measured=False)


def _application(ready: Callable[[], bool]) -> web.Application:
    async def metrics_page(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "up"})

    async def readyz(_request: web.Request) -> web.Response:
        now = ready()
        return web.json_response(
            {"status": "ready" if now else "recovering"}, status=200 if now else 503
        )

    application = web.Application()
    application.router.add_get("/metrics", metrics_page)
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    return application


class ProbeService(Service):
    """`serve_probe` as a part of a Faust app, which is ready when `app.ready` is."""

    def __init__(self, app: Any, settings: Settings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._settings = settings
        self._stack = AsyncExitStack()

    async def on_start(self) -> None:
        """Listen; ConfigError where the port is taken."""
        await self._stack.enter_async_context(serve_probe(lambda: self._app.ready, self._settings))

    async def on_stop(self) -> None:
        """Stop listening."""
        await self._stack.aclose()
