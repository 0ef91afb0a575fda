"""/api/v1/edges: the devices at the sites, by their newest heartbeats."""

from dataclasses import asdict

from aiohttp import web
from faust.web import View

from domain.access import Permission, is_visible, scopes_with
from stores.catalog.edge_commands import list_links
from stores.catalog.edges import list_edges
from web.access import in_list
from web.bodies import json_answer, parse_query
from web.cameras import limits_answer
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.schemas.edges import EdgeItem, Edges, EdgesQuery
from web.services import SERVICES


class EdgesView(View):
    """All edge devices."""

    view_path = "/api/v1/edges"
    access = in_list(Permission.CAMERA_VIEW)
    operations = describe(get=Operation("List the edge devices", answer=Edges, query=EdgesQuery))

    async def get(self, request: web.Request) -> web.Response:
        """Return the devices of the sites that the caller may see, by site and name."""
        services = request.app[SERVICES]
        query = parse_query(request, EdgesQuery)
        after = parse_cursor(request, query, str, str)
        scopes = scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)
        catalog = await services.catalog.get()
        linked = {link.device: link.since_ms for link in await list_links(catalog)}
        found = [
            edge
            for edge in await list_edges(catalog)
            if is_visible(scopes, edge.site) and (after is None or (edge.site, edge.edge) > after)
        ]
        found.sort(key=lambda edge: (edge.site, edge.edge))
        page, following = page_of(request, query, found, lambda edge: (edge.site, edge.edge))
        answer = Edges(
            now_ms=services.clock_ms(),
            limits=limits_answer(),
            edges=[
                EdgeItem(**asdict(edge), link_since_ms=linked.get(f"{edge.site}/{edge.edge}"))
                for edge in page
            ],
            next=following,
        )
        return json_answer(answer)
