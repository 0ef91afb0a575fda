"""POST /device/v1/update: a device's update agent reports, and hears what to install."""

from aiohttp import web
from pydantic import ValidationError

from domain.fleet.messages import DeviceUpdateReport
from stores.catalog.device_updates import exchange_update
from stores.catalog.web_catalog import all_tenants
from web.device.middleware import DEVICE
from web.device.services import DEVICE_SERVICES
from web.problems import bad_request
from web.query import read_body

MAX_REPORT_BYTES = 16 << 10


async def exchange(request: web.Request) -> web.Response:
    """Store the report; return a domain.fleet.messages.UpdateAnswer."""
    body = await read_body(request, MAX_REPORT_BYTES)
    try:
        report = DeviceUpdateReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "/".join(str(part) for part in first["loc"])
        raise bad_request(f"The report is wrong at {place}: {first['msg']}.") from None
    services = request.app[DEVICE_SERVICES]
    with all_tenants():
        answer = await exchange_update(
            await services.catalog.get(), request[DEVICE].id, report, services.clock_ms()
        )
    return web.json_response(text=answer.model_dump_json(by_alias=True))
