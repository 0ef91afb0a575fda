"""The edge devices, by their newest heartbeats."""

from dataclasses import dataclass
from typing import Any

from domain.audit import BY_SYSTEM, AuditOrigin
from stores.catalog.audit import write_audit, write_audits
from stores.catalog.pool import Catalog, sql


@dataclass(frozen=True, slots=True)
class EdgeDevice:
    """One device. `sent_ms`: its own clock, `heard_ms`: the cloud's (UTC ms); sizes in bytes.

    `cameras`: list of {camera, state, since_ms, detail}, at most 256. `config_version` None: it
    uses its own file. `config_state` None: it requests no configuration. `clock_state` None: not
    reported. `clock_error_ms` (0 to 3,600,000) is set while the clock is synchronised.
    """

    site: str
    edge: str
    sent_ms: int
    heard_ms: int
    software: str
    spool_bytes: int
    spool_waiting: int
    spool_oldest_ms: int | None
    disk_free_bytes: int
    cameras: list[dict[str, Any]]
    config_version: int | None
    config_state: str | None
    config_detail: str | None
    clock_state: str | None
    clock_error_ms: int | None
    identity_state: str | None = None
    """None: not reported, or not enrolled."""
    identity_generation: int | None = None
    identity_renew_ms: int | None = None
    """The certificate is to be renewed from then on; UTC ms, as the next one."""
    identity_expires_ms: int | None = None
    clock_trust: str | None = None


async def list_edges(catalog: Catalog) -> list[EdgeDevice]:
    """Return all devices that sent a heartbeat since they were last forgotten, by site and name."""
    return [EdgeDevice(**dict(row)) for row in await catalog.rows("list_edges")]


async def forget_edge(
    catalog: Catalog, site: str, edge: str, now_ms: int, *, origin: AuditOrigin = BY_SYSTEM
) -> bool:
    """Delete a device from the list. False: it is unknown. A new heartbeat adds it again."""
    async with catalog.transaction() as connection:
        if await connection.fetchrow(sql("forget_edge"), site, edge) is None:
            return False
        entry = origin.entry(now_ms, "edge:forget", site, before={"edge": edge})
        await write_audit(connection, entry)
    return True


async def forget_silent_edges(
    catalog: Catalog, before_ms: int, now_ms: int, *, origin: AuditOrigin = BY_SYSTEM
) -> list[tuple[str, str]]:
    """Delete the devices without a heartbeat since `before_ms` (UTC); return each site and name."""
    async with catalog.transaction() as connection:
        rows = await connection.fetch(sql("forget_silent_edges"), before_ms)
        forgotten = sorted((row["site"], row["edge"]) for row in rows)
        await write_audits(
            connection,
            [
                origin.entry(now_ms, "edge:forget", site, before={"edge": edge})
                for site, edge in forgotten
            ],
        )
    return forgotten
