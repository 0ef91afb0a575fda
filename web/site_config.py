"""/api/v1/sites/{tenant}/{site}/config-versions: what a site's configuration was, for people.

New versions come from `vigil site config`, which checks them as an edge does and signs them.
"""

from dataclasses import asdict

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.site_configs import config_history, get_config
from web.access import on_known_site
from web.bodies import json_answer, parse_query
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.query import parse_path_number
from web.schemas.edges import ConfigVersionItem, ConfigVersions, SiteConfig
from web.schemas.pages import PageQuery
from web.services import SERVICES

_TAG = "Tenants and sites"
MAX_VERSION = (1 << 31) - 1


class ConfigVersionsView(View):
    """The versions of a site's configuration."""

    view_path = "/api/v1/sites/{tenant}/{site}/config-versions"
    access = on_known_site(Permission.SITE_CONFIGURE)
    operations = describe(
        get=Operation(
            "List the versions of a site's configuration",
            description="Newest first, without their documents. `vigil site config` sets new ones.",
            answer=ConfigVersions,
            query=PageQuery,
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request, tenant: str, site: str) -> web.Response:
        """Return a page of the versions."""
        query = parse_query(request, PageQuery)
        place = parse_cursor(request, query, int)
        found = await config_history(
            await request.app[SERVICES].catalog.get(),
            f"{tenant}/{site}",
            query.limit + 1,
            before=None if place is None else int(place[0]),
        )
        page, following = page_of(request, query, found, lambda each: (each.version,))
        return json_answer(
            ConfigVersions(
                versions=[ConfigVersionItem(**asdict(each)) for each in page], next=following
            )
        )


class ConfigVersionView(View):
    """One version of a site's configuration."""

    view_path = "/api/v1/sites/{tenant}/{site}/config-versions/{version}"
    access = on_known_site(Permission.SITE_CONFIGURE)
    operations = describe(
        get=Operation(
            "Get a version of a site's configuration",
            description="As it was set. Its document may hold passwords of cameras.",
            answer=SiteConfig,
            tag=_TAG,
        )
    )

    async def get(self, request: web.Request, tenant: str, site: str, version: str) -> web.Response:
        """Return the version; 404: there is none."""
        number = parse_path_number(version, MAX_VERSION)
        catalog = await request.app[SERVICES].catalog.get()
        found = await get_config(catalog, f"{tenant}/{site}", number)
        if found is None:
            raise not_found(f"{tenant}/{site} has no version {number}.")
        return json_answer(
            SiteConfig(version=found.version, digest=found.digest, document=found.text)
        )
