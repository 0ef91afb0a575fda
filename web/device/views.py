"""The routes of the devices' address, and their installation on a Faust app.

A handler of a route that is not in `OPEN_PATHS` finds who asks in `request[DEVICE]`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from domain.errors import VigilError
from domain.fleet.messages import UPDATE_PATH
from domain.link_messages import LINK_PATH
from stores.http_server import MAX_CONNECTIONS, BoundedRunner, ConnectionLimits
from streams.server_certificate import tls_site
from streams.settings import Settings
from web.device.config import give_config
from web.device.credentials import give_credentials
from web.device.enrol import enrol
from web.device.middleware import DEVICE, authenticate, identify, report_errors
from web.device.renew import renew
from web.device.services import DEVICE_SERVICES, DeviceServices
from web.device.update import exchange
from web.live.relay import DEVICE_LIVE_PATH
from web.middleware import SERVER_NAME
from web.request_id import add_id


def serve(app: Any, settings: Settings, is_ready: Callable[[], bool]) -> DeviceServices:
    """Install all routes on a Faust app's web server; raises ConfigError."""
    services = DeviceServices(settings, is_ready)
    application = app.web.web_app
    application[DEVICE_SERVICES] = services
    application.middlewares.extend((report_errors, authenticate))
    add_routes(application)

    async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = SERVER_NAME
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")

    async def running(_: web.Application) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(services.watch_files()),
            asyncio.create_task(services.fleet.run()),
        ]
        async with services.registry.running():
            yield
        for task in tasks:
            task.cancel()

    application.on_response_prepare.append(add_headers)
    application.on_response_prepare.append(add_id)
    application.cleanup_ctx.append(running)
    services.link.install(application)
    services.live.install(application)
    limits = ConnectionLimits(
        total=settings.link_sockets + MAX_CONNECTIONS,
        per_address=settings.connections_per_address,
    )
    app.web._runner = BoundedRunner(application, limits, SERVER_NAME)
    app.web._create_site = lambda: tls_site(
        app.web._runner, settings.device_host, settings.device_port, services.certificate
    )
    return services


def add_routes(application: web.Application) -> None:
    """Add the routes."""
    router = application.router
    router.add_get("/healthz", _health)
    router.add_get("/readyz", _ready)
    router.add_get("/device/v1/time", _time)
    router.add_post("/device/v1/enrol", enrol)
    router.add_post("/device/v1/renew", renew)
    router.add_get("/device/v1/status", _status)
    router.add_post("/device/v1/credentials", give_credentials)
    router.add_get("/device/v1/config", give_config)
    router.add_post(UPDATE_PATH, exchange)
    router.add_get(LINK_PATH, _link)
    router.add_get(DEVICE_LIVE_PATH, _live)


async def _health(_request: web.Request) -> web.Response:
    """Say that the process runs."""
    return web.json_response({"status": "up"})


async def _ready(request: web.Request) -> web.Response:
    """Say whether Faust is connected, the catalog answers, and devices may connect."""
    services = request.app[DEVICE_SERVICES]
    if not (services.is_ready() and services.link.ready):
        return web.json_response({"status": "starting"}, status=503)
    await services.catalog.get()
    return web.json_response({"status": "ready"})


async def _link(request: web.Request) -> web.StreamResponse:
    """Hold the socket of a device."""
    services = request.app[DEVICE_SERVICES]
    device = request[DEVICE]

    async def refusal() -> VigilError | None:
        return await services.registry.refusal(device.id, device.key, device.generation)

    return await services.link.hub.serve(request, device.id, refusal)


async def _live(request: web.Request) -> web.StreamResponse:
    """Receive a device's live picture."""
    services = request.app[DEVICE_SERVICES]
    return await services.live.receive(request, request[DEVICE].id, lambda: identify(request))


async def _time(request: web.Request) -> web.Response:
    """Say what time it is: for devices with a wrong clock."""
    return web.json_response({"now_ms": request.app[DEVICE_SERVICES].clock_ms()})


async def _status(request: web.Request) -> web.Response:
    """Say that the identity is accepted: the certificate was checked before."""
    now_ms = request.app[DEVICE_SERVICES].clock_ms()
    device = request[DEVICE]
    return web.json_response(
        {"state": "enrolled", "generation": device.generation, "now_ms": now_ms}
    )
