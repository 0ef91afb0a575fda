"""How many cameras and edge devices of each site send, of those that should.

It rests on what the cloud expects, not on what a site says: a site that is silent is counted.
"""

from dataclasses import dataclass

from domain.camera_state import SERVICE_LIMITS
from domain.device_identity import UnsignedPolicy
from stores.catalog.pool import Catalog


@dataclass(frozen=True, slots=True)
class SiteHealth:
    """One site, now."""

    site: str
    unsigned: UnsignedPolicy
    """What it does with events that no device signed."""
    cameras: int
    """In use, with footage of any age."""
    cameras_sending: int
    """Of these: with footage of the last minute."""
    edges: int
    """Devices that sent a heartbeat since they were last forgotten."""
    edges_online: int
    """Of these: with a heartbeat in the last three minutes."""


async def site_health(catalog: Catalog, now_ms: int) -> list[SiteHealth]:
    """Return all sites by their id. Raises StoreError if the catalog fails."""
    rows = await catalog.rows(
        "site_health",
        now_ms - SERVICE_LIMITS.camera_sending_ms,
        now_ms - SERVICE_LIMITS.edge_online_ms,
    )
    return [SiteHealth(**dict(row)) for row in rows]
