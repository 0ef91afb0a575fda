"""The registered cameras and the extent of their footage."""

from dataclasses import dataclass

from domain.identity import check_camera, site_of
from stores.catalog.pool import Catalog, Row, sql


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
    recent: tuple[tuple[str, int], ...]
    """(label, most in one frame) of the last minutes, most first."""
    run_started_ms: int | None
    run_ended_ms: int | None
    """End of the newest run; None while it records."""
    run_reason: str | None
    overlap_ms: int | None = None
    """When two runs for the same time were last seen."""
    retired_ms: int | None = None
    """When it was taken out of use; None: it is in use."""


async def add_camera(catalog: Catalog, camera: str, name: str, now_ms: int) -> bool:
    """Register a camera, its site and tenant. False: it was registered and gets the new name."""
    check_camera(camera)
    site = site_of(camera)
    tenant = site.split("/", maxsplit=1)[0]
    async with catalog.transaction() as connection:
        await connection.execute(sql("add_tenant"), tenant, now_ms)
        await connection.execute(sql("add_site"), site, tenant, now_ms)
        return bool(await connection.fetchval(sql("add_camera"), camera, site, name, now_ms))


async def retire_camera(catalog: Catalog, camera: str, now_ms: int) -> bool:
    """Take a camera out of use. False: it is not registered.

    Its footage stays, and its events are still accepted. Newer footage brings it back.
    """
    return await catalog.row("retire_camera", check_camera(camera), now_ms) is not None


async def known_cameras(catalog: Catalog) -> set[str]:
    """Return the ids of all registered cameras; events of others are rejected."""
    return {row["id"] for row in await catalog.rows("known_cameras")}


async def get_camera(catalog: Catalog, camera: str, now_ms: int) -> RegisteredCamera | None:
    """Return one camera, or None where it is not registered."""
    found = await list_cameras(catalog, now_ms, only=camera)
    return found[0] if found else None


async def list_cameras(
    catalog: Catalog, now_ms: int, *, only: str | None = None, recent_ms: int = 300_000
) -> list[RegisteredCamera]:
    """Return all cameras (or `only` that one) by id, with the labels of the last `recent_ms`."""
    rows = await catalog.rows("list_cameras", only, now_ms - recent_ms, now_ms + recent_ms, now_ms)
    return [_camera(row) for row in rows]


def _camera(row: Row) -> RegisteredCamera:
    recent = tuple((found["label"], found["count"]) for found in row["recent"] or ())
    return RegisteredCamera(
        **{key: value for key, value in row.items() if key != "recent"},
        recent=recent,
    )
