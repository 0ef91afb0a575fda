"""/api/v1/sites/{tenant}/{site}/config: the configuration of a site, for its edge."""

from http import HTTPStatus

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.site_configs import get_config_for_edge
from web.access import on_site
from web.bodies import json_answer
from web.middleware import EDGE_CONFIG_PATH
from web.operations import Operation, describe
from web.problems import not_found
from web.schemas.edges import SiteConfig
from web.services import SERVICES


class EdgeConfigView(View):
    """A site's newest configuration."""

    view_path = EDGE_CONFIG_PATH
    access = on_site(Permission.SITE_CONFIG_READ)
    operations = describe(
        get=Operation(
            "Get the newest configuration of a site",
            description="For its edge devices. A foreign site answers 403, and 404 means that no "
            "configuration is set.",
            answer=SiteConfig,
            others={304: "`If-None-Match` names the newest one."},
            headers={"If-None-Match": "The `ETag` of the configuration that the device has."},
            answer_headers={"ETag": "Names this version."},
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the configuration without the disabled cameras.

        304: the edge has it, 404: none is set.
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
        answer = SiteConfig(version=found.version, digest=found.digest, document=found.text)
        return json_answer(answer, headers=headers)
