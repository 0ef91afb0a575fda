"""Tenants and sites."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.device_identity import UnsignedPolicy
from domain.identity import SITE_PATTERN, SLUG, check_site, check_tenant
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import SiteText, UtcMs
from web.schemas.editable import DisplayName, Zone
from web.schemas.pages import PageAnswer, PageQuery


class TenantItem(ApiAnswer):
    """A customer."""

    id: str = Field(description="The tenant, as in ids of its cameras.")
    name: str = Field(description="Shown to people.")
    created_ms: UtcMs = Field(description="When it was created.")


class Tenants(PageAnswer):
    """A page of tenants, by id."""

    tenants: list[TenantItem]


class TenantsQuery(PageQuery):
    """Which page of the tenants."""


class NewTenant(ApiRequest):
    """A tenant to create."""

    id: Annotated[str, AfterValidator(check_tenant)] = Field(
        max_length=63,
        description="Lower-case letters, digits and hyphens.",
        json_schema_extra={"pattern": rf"^{SLUG}$"},
    )
    name: DisplayName


class TenantChange(ApiRequest):
    """What changes of a tenant."""

    name: DisplayName


class SiteItem(ApiAnswer):
    """The premises of a tenant."""

    id: SiteText = Field(description="tenant/site")
    tenant: str = Field(description="First part of the id.")
    site: str = Field(description="Second part of the id.")
    name: str = Field(description="Shown to people.")
    zone: str = Field(
        description="IANA time zone in which its times are shown; `UTC` where no one set one."
    )
    unsigned: UnsignedPolicy = Field(
        description="What is done with events that no device signed: `accept`, `warn` (accept, "
        "count and log) or `refuse` (to the dead letters)."
    )
    created_ms: UtcMs = Field(description="When it was created.")


class Sites(PageAnswer):
    """A page of sites, by id."""

    sites: list[SiteItem]


class SitesQuery(PageQuery):
    """Which sites."""

    tenant: str | None = Field(None, max_length=63, description="Only sites of this tenant.")


SiteId = Annotated[
    str,
    Field(max_length=127, description="tenant/site", json_schema_extra={"pattern": SITE_PATTERN}),
    AfterValidator(check_site),
]


class NewSite(ApiRequest):
    """A site to create. Its tenant is created with it where it is missing."""

    id: SiteId
    name: DisplayName
    zone: Zone = "UTC"
    unsigned: UnsignedPolicy = Field(
        "refuse", description="What is done with events that no device signed."
    )


class SiteChange(ApiRequest):
    """What changes of a site. What is absent stays as it is."""

    name: DisplayName | None = Field(None, description="The new name.")
    zone: Zone | None = Field(None, description="The new IANA time zone.")
    unsigned: UnsignedPolicy | None = Field(
        None, description="What is done with events that no device signed, from now on."
    )
