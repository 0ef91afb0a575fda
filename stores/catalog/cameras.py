"""The registered cameras and the extent of their footage."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from domain.audit import BY_SYSTEM, AuditOrigin
from domain.device_identity import UnsignedPolicy
from domain.display_text import check_name
from domain.identity import check_camera, site_of
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.site_configs import check_config_has_camera
from stores.catalog.tenants import ensure_site

RECENT_MS = 300_000
"""The labels of so long are those that a camera sees now."""


@dataclass(frozen=True, slots=True)
class RegisteredCamera:
    """A registered camera; first_ms to height are None before its first footage. Times: UTC ms."""

    id: str
    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    width: int | None
    height: int | None
    run_started_ms: int | None
    run_ended_ms: int | None
    """End of the newest run; None while it records."""
    run_reason: str | None
    overlap_ms: int | None = None
    """When two runs for the same time were last seen."""
    retired_ms: int | None = None
    """When it was taken out of use; None: it is in use."""
    disabled_ms: int | None = None
    """Since when it is not to be recorded; None: it is."""
    recent: tuple[tuple[str, int], ...] = ()
    """(label, most in one frame) of the last minutes, most first. Lists have it."""

    @property
    def settings(self) -> "CameraSettings":
        """What people change of it."""
        return CameraSettings(self.id, self.name, self.disabled_ms, self.retired_ms)


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What people change of a camera. Times: UTC ms."""

    id: str
    name: str
    disabled_ms: int | None = None
    """Since when it is not to be recorded; None: it is."""
    retired_ms: int | None = None
    """When it was taken out of use; None: it is in use."""

    def with_enabled(self, enabled: bool, now_ms: int) -> "CameraSettings":
        """Return it enabled, or disabled from now on where it was not before."""
        since_ms = now_ms if self.disabled_ms is None else self.disabled_ms
        return replace(self, disabled_ms=None if enabled else since_ms)

    def audited(self) -> dict[str, str | int | None]:
        """Return what the audit log has of them."""
        return {
            "name": self.name,
            "disabled_ms": self.disabled_ms,
            "retired_ms": self.retired_ms,
        }

    def with_retired(self, retired: bool, now_ms: int) -> "CameraSettings":
        """Return it in use, or out of use from now on where it was not before."""
        since_ms = now_ms if self.retired_ms is None else self.retired_ms
        return replace(self, retired_ms=since_ms if retired else None)


async def create_camera(connection: Connection, camera: str, name: str, now_ms: int) -> bool:
    """Register a camera, its site and tenant, in the open transaction. False: it is registered."""
    site = site_of(check_camera(camera))
    await ensure_site(connection, site, now_ms)
    row = await connection.fetchrow(sql("create_camera"), camera, site, check_name(name), now_ms)
    return row is not None


async def lock_camera(connection: Connection, camera: str) -> CameraSettings | None:
    """Return a camera's settings, which no one else changes until the transaction ends."""
    row = await connection.fetchrow(sql("lock_camera"), camera)
    return None if row is None else CameraSettings(**dict(row))


async def update_camera(connection: Connection, camera: CameraSettings) -> None:
    """Store a camera's settings, in the open transaction.

    Raises ConflictError where its site's configuration in the catalog would have no camera left.
    """
    await connection.execute(
        sql("update_camera"),
        camera.id,
        check_name(camera.name),
        camera.disabled_ms,
        camera.retired_ms,
    )
    if camera.disabled_ms is not None:
        await check_config_has_camera(connection, site_of(camera.id))


async def set_camera(
    catalog: Catalog,
    camera: str,
    change: Callable[[CameraSettings], CameraSettings],
    action: str,
    *,
    now_ms: int,
    origin: AuditOrigin = BY_SYSTEM,
) -> CameraSettings | None:
    """Change a camera's settings; return the new ones, None where it is not registered.

    `action`: as the audit log has it, such as camera:retire.
    """
    async with catalog.transaction() as connection:
        before = await lock_camera(connection, camera)
        if before is None:
            return None
        after = change(before)
        await update_camera(connection, after)
        entry = origin.entry(now_ms, action, camera, before=before.audited(), after=after.audited())
        await write_audit(connection, entry)
    return after


async def add_camera(
    catalog: Catalog,
    camera: str,
    name: str,
    now_ms: int,
    *,
    origin: AuditOrigin = BY_SYSTEM,
    unsigned: UnsignedPolicy = "refuse",
) -> bool:
    """Register a camera, its site and tenant. False: it was registered and gets the new name.

    `unsigned`: what a new site does with events that no device signed.
    """
    site = site_of(check_camera(camera))
    async with catalog.transaction() as connection:
        await ensure_site(connection, site, now_ms, unsigned=unsigned)
        before = await lock_camera(connection, camera)
        added = bool(await connection.fetchval(sql("add_camera"), camera, site, name, now_ms))
        disabled_ms = None if before is None else before.disabled_ms
        after = CameraSettings(camera, name, disabled_ms)
        entry = origin.entry(
            now_ms,
            "camera:create" if added else "camera:update",
            camera,
            before=None if before is None else before.audited(),
            after=after.audited(),
        )
        await write_audit(connection, entry)
        return added


async def retire_camera(
    catalog: Catalog, camera: str, now_ms: int, *, origin: AuditOrigin = BY_SYSTEM
) -> bool:
    """Take a camera out of use. False: it is not registered.

    Its footage stays, and its events are still accepted. Newer footage brings it back.
    """
    async with catalog.transaction() as connection:
        before = await lock_camera(connection, check_camera(camera))
        if before is None:
            return False
        await connection.execute(sql("retire_camera"), camera, now_ms)
        after = replace(before, retired_ms=now_ms)
        entry = origin.entry(
            now_ms, "camera:retire", camera, before=before.audited(), after=after.audited()
        )
        await write_audit(connection, entry)
    return True


async def known_cameras(catalog: Catalog) -> set[str]:
    """Return the ids of all registered cameras; events of others are rejected."""
    return {row["id"] for row in await catalog.rows("known_cameras")}


async def get_camera(catalog: Catalog, camera: str, now_ms: int) -> RegisteredCamera | None:
    """Return one camera, or None where it is not registered. `recent` is empty."""
    row = await catalog.row("get_camera", camera, now_ms)
    return None if row is None else RegisteredCamera(**dict(row))


async def recent_labels(
    catalog: Catalog, camera: str, now_ms: int, recent_ms: int = RECENT_MS
) -> tuple[tuple[str, int], ...]:
    """Return the labels of the last `recent_ms`: (label, most in one frame), most first."""
    rows = await catalog.rows("recent_labels", camera, now_ms, recent_ms)
    return tuple((row["label"], row["most"]) for row in rows)


async def list_cameras(
    catalog: Catalog, now_ms: int, *, only: str | None = None, recent_ms: int = RECENT_MS
) -> list[RegisteredCamera]:
    """Return all cameras (or `only` that one) by id, with the labels of the last `recent_ms`."""
    async with catalog.reading() as connection:
        return await read_cameras(connection, now_ms, only=only, recent_ms=recent_ms)


async def read_cameras(
    connection: Connection, now_ms: int, *, only: str | None = None, recent_ms: int = RECENT_MS
) -> list[RegisteredCamera]:
    """Return them as the open transaction sees them; see `list_cameras`."""
    rows = await connection.fetch(sql("list_cameras"), only, now_ms, recent_ms)
    return [_camera(row) for row in rows]


def _camera(row: Row) -> RegisteredCamera:
    recent = tuple((found["label"], found["count"]) for found in row["recent"] or ())
    return RegisteredCamera(
        **{key: value for key, value in row.items() if key != "recent"},
        recent=recent,
    )
