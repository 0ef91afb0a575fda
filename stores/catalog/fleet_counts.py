"""How many devices are how far, for metrics."""

from dataclasses import dataclass

from domain.fleet.rollout import FleetRolloutState
from stores.catalog.pool import Catalog, sql
from stores.catalog.rollouts import current_rollout

BEHIND_MS = 7 * 86_400_000
"""A device may be away, or wait for its window, so long after a rollout finished."""


@dataclass(frozen=True, slots=True)
class FleetCounts:
    """Of the current rollout."""

    state: FleetRolloutState | None
    """Of the current rollout; None: there was none."""
    by_state: dict[str, int]
    behind: int
    """Devices that do not run the release of the newest finished rollout, a week after its end."""


async def count_fleet(catalog: Catalog, now_ms: int) -> FleetCounts:
    """Return the counts."""
    async with catalog.transaction() as connection:
        rollout = await current_rollout(connection)
        rows = await connection.fetch(
            sql("count_update_states"), None if rollout is None else rollout.id
        )
        behind = await connection.fetchval(sql("count_devices_behind"), now_ms - BEHIND_MS)
    return FleetCounts(
        None if rollout is None else rollout.state,
        {row["state"]: row["devices"] for row in rows},
        int(behind or 0),
    )
