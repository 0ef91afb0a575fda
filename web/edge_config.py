"""/api/v1/sites/{tenant}/{site}/config: the configuration of a site, for its edge."""

from http import HTTPStatus

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.site_configs import get_config_for_edge
from web.access import on_site
from web.middleware import EDGE_CONFIG_PATH
from web.problems import not_found
from web.services import SERVICES


class EdgeConfigView(View):
    """A site's newest configuration."""

    view_path = EDGE_CONFIG_PATH
    access = on_site(Permission.SITE_CONFIG_READ)

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return {"version", "digest", "document"}; 304: the edge has it, 404: none is set.

        `document` is canonical JSON as a string, without the disabled cameras. `digest` is its
        SHA-256.
        """
        site = "{tenant}/{site}".format(**request.match_info)
        services = request.app[SERVICES]
        found = await get_config_for_edge(await services.catalog.get(), site)
        if found is None:
            raise not_found(f"No configuration is set for {site}.")
        tag = f"{found.version}-{found.digest[:32]}"
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        known = request.if_none_match or ()
        if any(each.value == tag for each in known):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = {"version": found.version, "digest": found.digest, "document": found.text}
        return web.json_response(body, headers=headers)
