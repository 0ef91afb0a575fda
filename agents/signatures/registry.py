"""The enrolled devices and what each site does with unsigned events, as of some seconds ago.

A revocation counts within 5 s: what is used is at most 2 s old. Only what changed is read again.
The whole is read each minute, so that devices of an erased tenant go.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from domain.device_identity import Device, UnsignedPolicy
from stores.catalog import Catalog
from stores.catalog.devices import (
    changed_devices,
    database_now_ms,
    load_devices,
    load_some_devices,
)
from stores.catalog.tenants import unsigned_policies

MAX_AGE_S = 2.0
READ_AGAIN_S = 0.2
"""What is older is read again before an event is refused: its device may be new."""
WHOLE_S = 60.0
OVERLAP_MS = 90_000
"""Changes of so long before are asked for again: a transaction may end after a later one."""


@dataclass(frozen=True, slots=True)
class KnownSigners:
    """What one reading of the catalog found."""

    devices: Mapping[str, Device] = field(default_factory=dict)
    """By tenant/site/device."""
    policies: Mapping[str, UnsignedPolicy] = field(default_factory=dict)
    """By tenant/site."""

    def policy(self, site: str) -> UnsignedPolicy:
        """Return what a site does with unsigned events; a site that is not known refuses them."""
        return self.policies.get(site, "refuse")


class SignerRegistry:
    """Reads the catalog when it is asked. Callers at the same time share one reading."""

    def __init__(
        self,
        catalog: Callable[[], Awaitable[Catalog]],
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog = catalog
        self._steady_s = steady_s
        self._known = KnownSigners()
        self._changed: dict[str, int] = {}
        """Devices that changed recently -> when, UTC ms by PostgreSQL's clock."""
        self._asked_ms = 0
        self._read_s = self._whole_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def known(self, max_age_s: float = MAX_AGE_S) -> KnownSigners:
        """Return what is known, at most so old. Raises StoreError if the catalog fails."""
        if self._steady_s() - self._read_s > max_age_s:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read())
            await asyncio.shield(self._reading)
        return self._known

    async def _read(self) -> None:
        began_s = self._steady_s()
        catalog = await self._catalog()
        whole = began_s - self._whole_s > WHOLE_S
        async with catalog.transaction() as connection:
            now_ms = await database_now_ms(connection)
            changed = await changed_devices(connection, self._asked_ms - OVERLAP_MS)
            if whole:
                devices = await load_devices(connection)
            else:
                new = [name for name, at_ms in changed.items() if self._changed.get(name) != at_ms]
                devices = dict(self._known.devices)
                if new:
                    devices |= await load_some_devices(connection, new)
            policies = await unsigned_policies(connection)
        self._known = KnownSigners(devices, policies)
        self._changed = changed
        self._asked_ms = now_ms
        self._read_s = began_s
        if whole:
            self._whole_s = began_s
