"""/healthz, /readyz and /metrics: health probes and metrics."""

import logging

from aiohttp import web
from faust.web import View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from domain.access import Permission
from domain.errors import StoreError
from streams.metrics import REGISTRY
from web.access import PUBLIC, on_installation
from web.bodies import json_answer
from web.operations import MediaBody, Operation, describe
from web.schemas.health import Liveness, Readiness, ReadyChecks
from web.services import SERVICES, Services

log = logging.getLogger(__name__)


class HealthView(View):
    """Liveness probe: the process runs."""

    view_path = "/healthz"
    access = PUBLIC
    operations = describe(get=Operation("Ask whether the process runs", answer=Liveness))

    async def get(self, _request: web.Request) -> web.Response:
        """Return 200."""
        return json_answer(Liveness(status="up"))


class ReadyView(View):
    """Readiness probe: the worker can answer requests."""

    view_path = "/readyz"
    access = PUBLIC
    operations = describe(
        get=Operation(
            "Ask whether the worker can answer requests",
            answer=Readiness,
            others={503: Readiness},
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return 200 where Kafka and the catalog answer, else 503 with the one that does not."""
        services = request.app[SERVICES]
        checks = ReadyChecks(stream=services.is_ready(), catalog=await _catalog_is_ready(request))
        ready = checks.stream and checks.catalog
        answer = Readiness(
            status="ready" if ready else "not ready", checks=checks, warnings=_warnings(services)
        )
        return json_answer(answer, status=200 if ready else 503)


def _warnings(services: Services) -> list[str]:
    """Return what to correct, without file names: strangers read this."""
    certificate = services.certificate
    if certificate is None or certificate.problem is None:
        return []
    return ["The new TLS certificate cannot be used; the old one is served. See the log."]


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
    operations = describe(
        get=Operation(
            "Get the metrics of the worker",
            answer=MediaBody("text/plain", "Prometheus's text format.", is_text=True),
        )
    )

    async def get(self, _request: web.Request) -> web.Response:
        """Return the metrics in Prometheus's text format."""
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
