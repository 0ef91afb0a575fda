"""A link worker for `vigil bench live`, in a process of its own.

    python -m bench.live_worker PORT     prints its id once devices may connect

The name of a device is in the path, in place of its certificate. All else is as in production.
"""

import asyncio
import sys

from aiohttp import web

from domain.link_messages import LINK_PATH
from stores.http_server import BoundedRunner, ConnectionLimits
from streams.settings import get_settings
from streams.storage import link_catalog
from web.device.link_service import LinkService
from web.live.relay import DEVICE_LIVE_PATH, LiveRelay
from web.problems import ProblemError, problem_response


async def _serve(port: int) -> None:
    settings = get_settings()
    catalog = link_catalog(settings)
    service = LinkService(settings, catalog)
    relay = LiveRelay(service, catalog)
    application = web.Application()
    service.install(application)
    relay.install(application)

    async def check() -> None:
        return None

    async def handle(request: web.Request) -> web.StreamResponse:
        device = "{tenant}/{site}/{device}".format(**request.match_info)
        try:
            if request.path.endswith(LINK_PATH):
                return await service.hub.serve(request, device)
            return await relay.receive(request, device, check)
        except ProblemError as problem:
            return problem_response(problem)

    for path in (LINK_PATH, DEVICE_LIVE_PATH):
        application.router.add_get("/as/{tenant}/{site}/{device}" + path, handle)
    runner = BoundedRunner(application, ConnectionLimits(is_exempt=lambda _: True), "vigil")
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    while not service.ready:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    print(service.worker.id, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
