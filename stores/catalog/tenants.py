"""Tenants and sites: their names, and the time zone of a site.

A function that takes an open connection belongs to the caller's transaction: the audit log's entry
is written in the same one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.device_identity import UnsignedPolicy
from domain.display_text import check_name
from domain.identity import check_site, check_tenant
from stores.catalog.pool import Catalog, Connection, sql
from stores.time_zones import UTC, check_zone


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer. `created_ms`: UTC ms."""

    id: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class RegisteredSite:
    """The premises of a tenant. `created_ms`: UTC ms."""

    id: str
    """tenant/site"""
    name: str
    zone: str
    """IANA time zone in which its times are shown."""
    created_ms: int
    unsigned: UnsignedPolicy = "refuse"
    """What it does with events that no device signed."""

    def audited(self) -> dict[str, str]:
        """Return what the audit log has of it."""
        return {"name": self.name, "zone": self.zone, "unsigned": self.unsigned}


async def create_tenant(
    connection: Connection, tenant: str, name: str, now_ms: int
) -> Tenant | None:
    """Add a tenant. None: it exists, and is unchanged."""
    row = await connection.fetchrow(
        sql("create_tenant"), check_tenant(tenant), check_name(name), now_ms
    )
    return None if row is None else Tenant(**dict(row))


async def lock_tenant(connection: Connection, tenant: str) -> Tenant | None:
    """Return a tenant, which no one else changes until the transaction ends."""
    row = await connection.fetchrow(sql("lock_tenant"), tenant)
    return None if row is None else Tenant(**dict(row))


async def update_tenant(connection: Connection, tenant: Tenant) -> None:
    """Store a tenant's name."""
    await connection.execute(sql("update_tenant"), tenant.id, check_name(tenant.name))


async def get_tenant(catalog: Catalog, tenant: str) -> Tenant | None:
    """Return a tenant, or None."""
    row = await catalog.row("get_tenant", tenant)
    return None if row is None else Tenant(**dict(row))


async def list_tenants(
    catalog: Catalog, scopes: Iterable[str], *, after: str = "", limit: int = 1_000
) -> list[Tenant]:
    """Return the tenants of which a scope contains something, by id."""
    rows = await catalog.rows("list_tenants", list(scopes), after, limit)
    return [Tenant(**dict(row)) for row in rows]


async def create_site(
    connection: Connection,
    site: str,
    name: str,
    zone: str,
    now_ms: int,
    *,
    unsigned: UnsignedPolicy = "refuse",
) -> RegisteredSite | None:
    """Add a site, and its tenant where that is missing. None: it exists, and is unchanged.

    `unsigned`: what it does with events that no device signed.
    """
    tenant = check_site(site).split("/", maxsplit=1)[0]
    await connection.execute(sql("add_tenant"), tenant, now_ms)
    row = await connection.fetchrow(
        sql("create_site"), site, check_name(name), check_zone(zone), now_ms, unsigned
    )
    return None if row is None else RegisteredSite(**dict(row))


async def ensure_site(
    connection: Connection, site: str, now_ms: int, *, unsigned: UnsignedPolicy = "refuse"
) -> bool:
    """Add a site and its tenant, named by their ids, where they are missing; True: it is new."""
    name = site.rsplit("/", 1)[1]
    return await create_site(connection, site, name, UTC, now_ms, unsigned=unsigned) is not None


async def unsigned_policies(connection: Connection) -> dict[str, UnsignedPolicy]:
    """Return by site what it does with events that no device signed."""
    rows = await connection.fetch(sql("unsigned_policies"))
    return {row["id"]: row["unsigned"] for row in rows}


async def lock_site(connection: Connection, site: str) -> RegisteredSite | None:
    """Return a site, which no one else changes until the transaction ends."""
    row = await connection.fetchrow(sql("lock_site_row"), site)
    return None if row is None else RegisteredSite(**dict(row))


async def update_site(connection: Connection, site: RegisteredSite) -> None:
    """Store a site's name, zone, and what it does with unsigned events."""
    await connection.execute(
        sql("update_site"), site.id, check_name(site.name), check_zone(site.zone), site.unsigned
    )


async def get_site(catalog: Catalog, site: str) -> RegisteredSite | None:
    """Return a site, or None."""
    row = await catalog.row("get_site", site)
    return None if row is None else RegisteredSite(**dict(row))


async def list_sites(
    catalog: Catalog,
    scopes: Iterable[str],
    *,
    after: str = "",
    limit: int = 1_000,
    tenant: str | None = None,
) -> list[RegisteredSite]:
    """Return the sites of which a scope contains something, by id."""
    rows = await catalog.rows("list_sites", list(scopes), after, limit, tenant)
    return [RegisteredSite(**dict(row)) for row in rows]
