"""/api/v1/sites/{tenant}/{site}/config: what an edge is to record, for the edge of that site."""

from http import HTTPStatus

from aiohttp import web
from faust.web import View

from stores.catalog.site_configs import get_config
from web.middleware import EDGE_CONFIG_PATH, PRINCIPAL
from web.problems import ProblemError, not_found
from web.services import SERVICES


class EdgeConfigView(View):
    """The newest version of a site's configuration."""

    view_path = EDGE_CONFIG_PATH

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return {"version", "digest", "document"}; 304 where the edge has it, 404 without any.

        `document` is a text, canonical JSON, and `digest` its SHA-256.
        """
        wanted = "{tenant}/{site}".format(**request.match_info)
        if request[PRINCIPAL].edge_of != wanted:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "This key does not read this site's configuration; "
                "`vigil key create --edge-of TENANT/SITE` makes one that does.",
            )
        here = request.app[SERVICES]
        found = await get_config(await here.catalog.get(), wanted)
        if found is None:
            raise not_found(f"No configuration was set for {wanted}.")
        tag = f"{found.version}-{found.digest[:32]}"
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        known = request.if_none_match or ()
        if any(each.value == tag for each in known):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = {"version": found.version, "digest": found.digest, "document": found.text}
        return web.json_response(body, headers=headers)
