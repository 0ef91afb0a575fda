"""/api/v1/edges: the devices at the sites, by their newest heartbeats."""

from dataclasses import asdict

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from domain.camera_state import STATE_LIMITS
from stores.catalog.edges import list_edges
from web.access import in_list
from web.middleware import PRINCIPAL
from web.services import SERVICES


class EdgesView(View):
    """All edge devices."""

    view_path = "/api/v1/edges"
    access = in_list(Permission.CAMERA_VIEW)

    async def get(self, request: web.Request) -> web.Response:
        """Return the devices of the sites that the caller may see, by site and name."""
        services = request.app[SERVICES]
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)
        found = await list_edges(await services.catalog.get())
        body = {
            "now_ms": services.clock_ms(),
            "limits": asdict(STATE_LIMITS),
            "edges": [asdict(each) for each in found if is_visible(scopes, each.site)],
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})
