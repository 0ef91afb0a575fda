"""/healthz, /readyz and /metrics: health probes and metrics."""

import logging

from aiohttp import web
from faust.web import View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.access import Permission
from domain.errors import StoreError
from streams.metrics import REGISTRY
from web.access import PUBLIC, on_installation
from web.services import SERVICES

log = logging.getLogger(__name__)


class HealthView(View):
    """Liveness probe: the process runs."""

    view_path = "/healthz"
    access = PUBLIC

    async def get(self, _request: web.Request) -> web.Response:
        """Return 200."""
        return web.json_response({"status": "up"}, headers={"Cache-Control": "no-store"})


class ReadyView(View):
    """Readiness probe: the worker can answer requests."""

    view_path = "/readyz"
    access = PUBLIC

    async def get(self, request: web.Request) -> web.Response:
        """Return 200 where Kafka and the catalog answer, else 503 with the one that does not."""
        services = request.app[SERVICES]
        checks = {"stream": services.is_ready(), "catalog": await _catalog_is_ready(request)}
        ready = all(checks.values())
        return web.json_response(
            {"status": "ready" if ready else "not ready", "checks": checks},
            status=200 if ready else 503,
            headers={"Cache-Control": "no-store"},
        )


async def _catalog_is_ready(request: web.Request) -> bool:
    try:
        catalog = await request.app[SERVICES].catalog.get()
        return await catalog.schema_exists()
    except StoreError as error:
        log.warning("not ready: %s", error)
        return False


class MetricsView(View):
    """Metrics of the process."""

    view_path = "/metrics"
    access = on_installation(Permission.METRICS_READ)

    async def get(self, _request: web.Request) -> web.Response:
        """Return the metrics in Prometheus's text format."""
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
