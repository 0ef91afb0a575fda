"""A worker's metrics and health over HTTP, for what supervises it. Loopback by default."""

from typing import Any

from aiohttp import web
from mode import Service
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams import metrics


class Probe(Service):
    """Serves /metrics, /healthz (the process runs) and /readyz (it handles events)."""

    def __init__(self, app: Any, host: str, port: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app, self._host, self._port = app, host, port
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        """Listen; OSError where the port is taken."""
        site = web.Application()
        site.router.add_get("/metrics", self._metrics)
        site.router.add_get("/healthz", self._healthz)
        site.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(site, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def on_stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "up"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._app.ready
        return web.json_response(
            {"status": "ready" if ready else "recovering"}, status=200 if ready else 503
        )
