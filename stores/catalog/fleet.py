"""The fleet: each enrolled device with what it runs and its update; how a site is updated."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.fleet.behind import DeviceSituation, SiteUpdatePolicy
from domain.fleet.device_update import DeviceProgress
from domain.fleet.messages import DeviceUpdateState
from domain.fleet.rollout import UpdatedDevice
from domain.site_file.model import MaintenanceWindow, Ring
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, sql


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """One device. Times in UTC ms. Without an update agent, the first seven are None."""

    device: str
    """tenant/site/device"""
    site: str
    agent: str | None
    hardware: str | None
    image: str | None
    release: int | None
    system: str | None
    reported_ms: int | None
    ring: Ring
    maintenance: dict[str, Any] | None
    lock: str | None
    zone: str
    state: DeviceUpdateState | None
    """Of its update in the current rollout; None: it is not in it."""
    reason: str | None
    attempt: int | None
    round: int | None
    came_from: int | None
    began_ms: int | None
    changed_ms: int | None
    excused: bool
    cameras_before: int | None
    spool_before: int | None
    heartbeat_ms: int | None
    software: str | None
    """Version of the recorder, by its heartbeat."""
    spool_waiting: int | None
    spool_oldest_ms: int | None
    cameras: int | None
    cameras_recording: int | None

    @property
    def situation(self) -> DeviceSituation:
        """Return what decides why it is behind."""
        progress = None
        if self.state is not None and self.attempt is not None and self.changed_ms is not None:
            progress = DeviceProgress(
                self.ring, self.state, self.reason or "", self.attempt, self.came_from,
                self.began_ms, self.changed_ms,
            )  # fmt: skip
        policy = SiteUpdatePolicy(self.window, self.zone, self.lock)
        return DeviceSituation(progress, self.release, policy, self.reported_ms)

    @property
    def seen(self) -> UpdatedDevice | None:
        """Return what halt rules see of it; None: it is not in the rollout."""
        if self.state is None or self.changed_ms is None:
            return None
        return UpdatedDevice(
            device=self.device,
            ring=self.ring,
            state=self.state,
            reason=self.reason or "",
            began_ms=self.began_ms,
            changed_ms=self.changed_ms,
            reported_ms=self.reported_ms,
            heartbeat_ms=self.heartbeat_ms,
            cameras_before=self.cameras_before,
            cameras_recording=self.cameras_recording,
            spool_before=self.spool_before,
            spool_waiting=self.spool_waiting,
            spool_oldest_ms=self.spool_oldest_ms,
            excused=self.excused,
        )

    @property
    def window(self) -> MaintenanceWindow | None:
        """Return its site's maintenance window; None: always."""
        return (
            None if self.maintenance is None else MaintenanceWindow.model_validate(self.maintenance)
        )


async def list_fleet(
    connection: Connection,
    scopes: Iterable[str],
    rollout: int | None,
    *,
    after: str = "",
    site: str | None = None,
    limit: int = 1_000,
) -> list[FleetDevice]:
    """Return the enrolled devices of the sites within these scopes, by id.

    `rollout`: the one whose progress they show.
    """
    rows = await connection.fetch(sql("list_fleet"), list(scopes), after, limit, rollout, site)
    return [FleetDevice(**dict(row)) for row in rows]


async def set_update_policy(
    catalog: Catalog,
    site: str,
    ring: Ring,
    window: MaintenanceWindow,
    now_ms: int,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> bool:
    """Store a site's ring and maintenance window; return whether that changed anything."""
    maintenance = window.model_dump(mode="json", by_alias=True)
    async with catalog.transaction() as connection:
        changed = await connection.fetchrow(sql("set_site_update_policy"), site, ring, maintenance)
        if changed is None:
            return False
        entry = origin.entry(
            now_ms, "site:updates", site, after={"ring": ring, "maintenance": maintenance}
        )
        await write_audit(connection, entry)
    return True


async def lock_site_updates(
    connection: Connection, site: str, why: str | None, *, by: str, now_ms: int
) -> bool:
    """Lock the updates of a site (`why`: for people), or end the lock (None).

    Return whether that changed anything. The caller writes the audit log.
    """
    return await connection.fetchrow(sql("lock_site_updates"), site, why, by, now_ms) is not None
