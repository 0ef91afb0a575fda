"""GET /device/v1/config: the signed configuration of the site of the device that asks."""

from aiohttp import web

from stores.catalog.site_configs import get_offer
from stores.catalog.web_catalog import all_tenants
from web.device.middleware import DEVICE
from web.device.services import DEVICE_SERVICES
from web.edge_config import offer_answer
from web.problems import not_found


async def give_config(request: web.Request) -> web.Response:
    """Return the newest configuration as it was signed. 304: it has it, 404: none is set."""
    site = request[DEVICE].site
    with all_tenants():
        offer = await get_offer(await request.app[DEVICE_SERVICES].catalog.get(), site)
    if offer is None:
        raise not_found(f"No configuration is set for {site}.")
    return offer_answer(request, offer)
