"""Advances the active rollout: opens rings, halts, finishes. Each link worker tries it.

The lock of the rollout's row lets one worker decide at a time. A killed one loses it with its
connection: see stores/catalog/rollouts.py.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from domain.errors import StoreError
from domain.fleet.rollout import RolloutDecision
from stores.catalog import Catalog
from stores.catalog.fleet_counts import FleetCounts, count_fleet
from stores.catalog.rollouts import reconcile_rollout
from stores.catalog.web_catalog import all_tenants
from streams.metrics import REGISTRY
from streams.storage import LazyStore

EVERY_S = 15.0

STEPS = Counter(
    "vigil_fleet_steps",
    "What the reconciler did with the active rollout",
    ["step"],
    registry=REGISTRY,
)
HALTED = Gauge(
    "vigil_fleet_rollout_halted", "1 while the active rollout is halted", registry=REGISTRY
)
DEVICES = Gauge(
    "vigil_fleet_devices",
    "Enrolled devices by the state of their update in the current rollout",
    ["state"],
    registry=REGISTRY,
)
BEHIND = Gauge(
    "vigil_fleet_devices_behind",
    "Enrolled devices that do not run the release of the newest rollout that finished",
    registry=REGISTRY,
)

log = logging.getLogger(__name__)


class FleetReconciler:
    """Advances rollouts until cancelled."""

    def __init__(self, catalog: LazyStore[Catalog], clock_ms: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock_ms = clock_ms

    async def run(self) -> None:
        """Advance periodically, with jitter: workers do not ask at the same moment."""
        while True:
            await asyncio.sleep(EVERY_S * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                await self.advance()
            except StoreError as error:
                log.warning("rollouts are not advanced now: %s", error)
            except Exception:
                log.exception("rollouts are not advanced now")

    async def advance(self) -> RolloutDecision | None:
        """Do one step; None: no rollout is active."""
        with all_tenants():
            catalog = await self._catalog.get()
            decision = await reconcile_rollout(catalog, self._clock_ms())
            counts = await count_fleet(catalog, self._clock_ms())
        _show(counts)
        if decision is not None:
            STEPS.labels(decision.step).inc()
            if decision.step not in ("stay", "soak", "unsoak"):
                log.info("rollout: %s: %s", decision.step, decision.reason)
        return decision


def _show(counts: FleetCounts) -> None:
    HALTED.set(int(counts.state == "halted"))
    BEHIND.set(counts.behind)
    DEVICES.clear()
    for state, count in counts.by_state.items():
        DEVICES.labels(state).set(count)
