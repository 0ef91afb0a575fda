"""What edges are to record and how: versions of each site's configuration, only ever added to."""

from dataclasses import dataclass

from domain.errors import ConfigError
from domain.site_config import SiteVersion, digest_of
from stores.catalog.pool import Catalog, sql


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """When (UTC ms), by whom and why a version was set."""

    version: int
    digest: str
    set_ms: int
    set_by: str
    note: str


@dataclass(frozen=True, slots=True)
class EdgeConfigReport:
    """What an edge said last of its configuration; heard_ms: UTC ms of the cloud."""

    edge: str
    heard_ms: int
    version: int | None
    state: str | None
    detail: str | None


async def set_config(
    catalog: Catalog, site: str, text: str, *, now_ms: int, by: str, note: str, again: bool = False
) -> tuple[SiteVersion, bool]:
    """Make a site's next version of a canonical text; return it, and whether it was made.

    One that equals the newest is not made, unless `again`.
    """
    tenant = site.split("/", maxsplit=1)[0]
    digest = digest_of(text)
    async with catalog.transaction() as connection:
        await connection.execute(sql("add_tenant"), tenant, now_ms)
        await connection.execute(sql("add_site"), site, tenant, now_ms)
        await connection.execute(sql("site_config_lock"), site)
        newest = await connection.fetchrow(sql("site_config"), site, None)
        if newest is not None and newest["digest"] == digest and not again:
            return SiteVersion(**dict(newest)), False
        version = await connection.fetchval(
            sql("site_config_add"), site, text, digest, now_ms, by, note
        )
    return SiteVersion(int(version), digest, text), True


async def get_config(catalog: Catalog, site: str, version: int | None = None) -> SiteVersion | None:
    """Return a site's newest version, or the one asked for; None where there is none."""
    row = await catalog.row("site_config", site, version)
    return None if row is None else SiteVersion(**dict(row))


async def roll_back(
    catalog: Catalog, site: str, to: int | None, *, now_ms: int, by: str, note: str
) -> SiteVersion:
    """Make a new version that equals an old one (None: the one before); ConfigError."""
    newest = await get_config(catalog, site)
    if newest is None:
        raise ConfigError(f"{site} has no configuration in the catalog.")
    number = newest.version - 1 if to is None else to
    old = await get_config(catalog, site, number) if 0 < number < 1 << 31 else None
    if old is None:
        raise ConfigError(
            f"{site} has no version {number}; `vigil site config history` lists them."
        )
    said = note or f"back to version {old.version}"
    made, _ = await set_config(catalog, site, old.text, now_ms=now_ms, by=by, note=said, again=True)
    return made


async def config_history(catalog: Catalog, site: str, limit: int = 50) -> list[ConfigVersion]:
    """Return a site's versions, newest first."""
    return [ConfigVersion(**dict(row)) for row in await catalog.rows("site_configs", site, limit)]


async def edge_config_reports(catalog: Catalog, site: str) -> list[EdgeConfigReport]:
    """Return what the site's edges said last of theirs."""
    return [EdgeConfigReport(**dict(row)) for row in await catalog.rows("site_config_told", site)]
