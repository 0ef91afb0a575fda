"""A process's metrics and health over HTTP, for what supervises it. Loopback by default."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import ConfigError
from stores.http_server import BoundedRunner, ConnectionLimits
from streams import metrics


@asynccontextmanager
async def serve_probe(ready: Callable[[], bool], host: str, port: int) -> AsyncIterator[None]:
    """Serve /metrics, /healthz (the process runs) and /readyz (it handles events) inside the block.

    Raises ConfigError where the port is taken.
    """
    runner = BoundedRunner(_application(ready), ConnectionLimits(total=512), "vigil")
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"VIGIL_METRICS_PORT {port} cannot be used: {error.strerror}. Choose another."
        ) from error
    try:
        yield
    finally:
        await runner.cleanup()


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

    def __init__(self, app: Any, host: str, port: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._host = host
        self._port = port
        self._stack = AsyncExitStack()

    async def on_start(self) -> None:
        """Listen; ConfigError where the port is taken."""
        await self._stack.enter_async_context(
            serve_probe(lambda: self._app.ready, self._host, self._port)
        )

    async def on_stop(self) -> None:
        """Stop listening."""
        await self._stack.aclose()
