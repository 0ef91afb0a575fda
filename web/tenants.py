"""/api/v1/tenants and /api/v1/sites: their names, and the time zones of sites."""

from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission, overlaps, scopes_with
from domain.errors import ConflictError
from domain.preconditions import RowVersion, content_tag
from stores.catalog import tenants
from stores.catalog.tenants import RegisteredSite, Tenant
from web.access import in_list, on_installation, on_known_site, on_tenant, require_permission
from web.bodies import json_answer, parse_query, read_json
from web.conditional import expected_version
from web.edits import ETAG, IF_MATCH, LOCATION, entry_of, finish, with_etag
from web.middleware import PRINCIPAL
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.problems import not_found
from web.schemas.tenants import (
    NewSite,
    NewTenant,
    SiteChange,
    SiteItem,
    Sites,
    SitesQuery,
    TenantChange,
    TenantItem,
    Tenants,
    TenantsQuery,
)
from web.services import SERVICES

_TAG = "Tenants and sites"


def _tenant_answer(tenant: Tenant) -> TenantItem:
    return TenantItem(id=tenant.id, name=tenant.name, created_ms=tenant.created_ms)


def _site_answer(site: RegisteredSite) -> SiteItem:
    tenant, name = site.id.split("/")
    return SiteItem(
        id=site.id,
        tenant=tenant,
        site=name,
        name=site.name,
        zone=site.zone,
        unsigned=site.unsigned,
        created_ms=site.created_ms,
    )


def _version(item: TenantItem | SiteItem) -> RowVersion:
    known = item.model_dump()
    return RowVersion(content_tag(known), current=known)


def _visible_scopes(request: web.Request) -> tuple[str, ...]:
    return scopes_with(request[PRINCIPAL].principal, Permission.CAMERA_VIEW)


class TenantsView(View):
    """All tenants."""

    view_path = "/api/v1/tenants"
    access = MappingProxyType(
        {
            "GET": in_list(Permission.CAMERA_VIEW),
            "POST": on_installation(Permission.SITE_CONFIGURE),
        }
    )
    operations = describe(
        get=Operation(
            "List the tenants",
            description="Those of which you may see something.",
            answer=Tenants,
            query=TenantsQuery,
            tag=_TAG,
        ),
        post=Operation(
            "Create a tenant",
            body=NewTenant,
            answer=TenantItem,
            status=201,
            problems={409: "It exists."},
            answer_headers={**ETAG, **LOCATION},
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the tenants that the caller may know of, by id."""
        query = parse_query(request, TenantsQuery)
        place = parse_cursor(request, query, str)
        found = await tenants.list_tenants(
            await request.app[SERVICES].catalog.get(),
            _visible_scopes(request),
            after="" if place is None else str(place[0]),
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, found, lambda tenant: (tenant.id,))
        return json_answer(
            Tenants(tenants=[_tenant_answer(tenant) for tenant in page], next=following)
        )

    async def post(self, request: web.Request) -> web.Response:
        """Create a tenant; 409: it exists."""
        given = await read_json(request, NewTenant)
        services = request.app[SERVICES]
        async with (await services.catalog.get()).transaction() as connection:
            made = await tenants.create_tenant(
                connection, given.id, given.name, services.clock_ms()
            )
            if made is None:
                raise ConflictError(f"The tenant {given.id} exists.")
            answer = _tenant_answer(made)
            headers = with_etag(_version(answer).tag, location=f"/api/v1/tenants/{made.id}")
            response = json_answer(answer, status=HTTPStatus.CREATED, headers=headers)
            entry = entry_of(request, "tenant:create", made.id, after={"name": made.name})
            return await finish(connection, request, response, entry)


class TenantView(View):
    """One tenant."""

    view_path = "/api/v1/tenants/{tenant}"
    access = MappingProxyType(
        {"GET": in_list(Permission.CAMERA_VIEW), "PATCH": on_tenant(Permission.SITE_CONFIGURE)}
    )
    operations = describe(
        get=Operation("Get a tenant", answer=TenantItem, answer_headers=ETAG, tag=_TAG),
        patch=Operation(
            "Rename a tenant",
            body=TenantChange,
            answer=TenantItem,
            headers=IF_MATCH,
            answer_headers=ETAG,
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request, tenant: str) -> web.Response:
        """Return the tenant; 404: the caller may see nothing of it."""
        found = None
        if overlaps(_visible_scopes(request), tenant):
            found = await tenants.get_tenant(await request.app[SERVICES].catalog.get(), tenant)
        if found is None:
            raise not_found(f"There is no tenant {tenant}.")
        answer = _tenant_answer(found)
        return json_answer(answer, headers=with_etag(_version(answer).tag))

    async def patch(self, request: web.Request, tenant: str) -> web.Response:
        """Rename it."""
        expected = expected_version(request)
        given = await read_json(request, TenantChange)
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            before = await tenants.lock_tenant(connection, tenant)
            if before is None:
                raise not_found(f"There is no tenant {tenant}.")
            expected.check(_version(_tenant_answer(before)))
            after = replace(before, name=given.name)
            await tenants.update_tenant(connection, after)
            answer = _tenant_answer(after)
            response = json_answer(answer, headers=with_etag(_version(answer).tag))
            entry = entry_of(
                request,
                "tenant:update",
                tenant,
                before={"name": before.name},
                after={"name": after.name},
            )
            return await finish(connection, request, response, entry)


class SitesView(View):
    """All sites."""

    view_path = "/api/v1/sites"
    access = MappingProxyType(
        {"GET": in_list(Permission.CAMERA_VIEW), "POST": in_list(Permission.SITE_CONFIGURE)}
    )
    operations = describe(
        get=Operation(
            "List the sites",
            description="Those of which you may see something.",
            answer=Sites,
            query=SitesQuery,
            tag=_TAG,
        ),
        post=Operation(
            "Create a site",
            description="It takes `site:configure` on the tenant. Registering a camera creates "
            "its site too, with the zone `UTC`. A new site refuses events that no device signed.",
            body=NewSite,
            answer=SiteItem,
            status=201,
            problems={409: "It exists."},
            answer_headers={**ETAG, **LOCATION},
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return a page of the sites that the caller may know of, by id."""
        query = parse_query(request, SitesQuery)
        place = parse_cursor(request, query, str)
        found = await tenants.list_sites(
            await request.app[SERVICES].catalog.get(),
            _visible_scopes(request),
            after="" if place is None else str(place[0]),
            limit=query.limit + 1,
            tenant=query.tenant,
        )
        page, following = page_of(request, query, found, lambda site: (site.id,))
        return json_answer(Sites(sites=[_site_answer(site) for site in page], next=following))

    async def post(self, request: web.Request) -> web.Response:
        """Create a site, and its tenant where that is missing; 409: it exists."""
        given = await read_json(request, NewSite)
        services = request.app[SERVICES]
        tenant = given.id.split("/", maxsplit=1)[0]
        require_permission(request[PRINCIPAL].principal, Permission.SITE_CONFIGURE, tenant)
        async with (await services.catalog.get()).transaction() as connection:
            made = await tenants.create_site(
                connection,
                given.id,
                given.name,
                given.zone,
                services.clock_ms(),
                unsigned=given.unsigned,
            )
            if made is None:
                raise ConflictError(f"The site {given.id} exists.")
            answer = _site_answer(made)
            headers = with_etag(_version(answer).tag, location=f"/api/v1/sites/{made.id}")
            response = json_answer(answer, status=HTTPStatus.CREATED, headers=headers)
            entry = entry_of(request, "site:create", made.id, after=made.audited())
            return await finish(connection, request, response, entry)


class SiteView(View):
    """One site."""

    view_path = "/api/v1/sites/{tenant}/{site}"
    access = MappingProxyType(
        {
            "GET": in_list(Permission.CAMERA_VIEW),
            "PATCH": on_known_site(Permission.SITE_CONFIGURE),
        }
    )
    operations = describe(
        get=Operation("Get a site", answer=SiteItem, answer_headers=ETAG, tag=_TAG),
        patch=Operation(
            "Change a site: its name, its time zone, what it does with unsigned events",
            body=SiteChange,
            answer=SiteItem,
            headers=IF_MATCH,
            answer_headers=ETAG,
            tag=_TAG,
        ),
    )

    async def get(self, request: web.Request, tenant: str, site: str) -> web.Response:
        """Return the site; 404: the caller may see nothing of it."""
        name = f"{tenant}/{site}"
        found = None
        if overlaps(_visible_scopes(request), name):
            found = await tenants.get_site(await request.app[SERVICES].catalog.get(), name)
        if found is None:
            raise not_found(f"There is no site {name}.")
        answer = _site_answer(found)
        return json_answer(answer, headers=with_etag(_version(answer).tag))

    async def patch(self, request: web.Request, tenant: str, site: str) -> web.Response:
        """Change what the body names."""
        expected = expected_version(request)
        given = await read_json(request, SiteChange)
        name = f"{tenant}/{site}"
        async with (await request.app[SERVICES].catalog.get()).transaction() as connection:
            before = await tenants.lock_site(connection, name)
            if before is None:
                raise not_found(f"There is no site {name}.")
            expected.check(_version(_site_answer(before)))
            after = replace(
                before,
                name=given.name or before.name,
                zone=given.zone or before.zone,
                unsigned=given.unsigned or before.unsigned,
            )
            await tenants.update_site(connection, after)
            answer = _site_answer(after)
            response = json_answer(answer, headers=with_etag(_version(answer).tag))
            entry = entry_of(
                request,
                "site:update",
                name,
                before=before.audited(),
                after=after.audited(),
            )
            return await finish(connection, request, response, entry)
