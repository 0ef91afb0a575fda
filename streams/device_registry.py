"""Devices and their keys in memory: the newest within a second, without a query for each request.

first use of a device ──► read its row and keys, keep them
each second           ──► ask which devices changed; read those that are kept again

A worker that cannot reach PostgreSQL goes on with what it knows.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable

from domain.device_identity import Device, SignatureError
from domain.errors import StoreError
from stores.catalog.devices import changed_devices, database_now_ms, load_some_devices
from stores.catalog.pool import Catalog
from stores.catalog.web_catalog import all_tenants
from streams.storage import LazyStore

POLL_S = 1.0
OVERLAP_MS = 90_000
"""A transaction may be committed this long after it set the time of its change."""
MAX_DEVICES = 50_000

log = logging.getLogger(__name__)


class DeviceRegistry:
    """Knows the devices that were asked for. `run` keeps them fresh."""

    def __init__(self, catalog: LazyStore[Catalog]) -> None:
        self._catalog = catalog
        self._known: dict[str, Device | None] = {}
        """None: no such device."""
        self._changes: dict[str, int] = {}
        self._since_ms: int | None = None

    async def get(self, device: str) -> Device | None:
        """Return a device, None where there is none. Raises StoreError."""
        if device not in self._known:
            await self._read([device])
        return self._known.get(device)

    async def _read(self, devices: Iterable[str]) -> None:
        wanted = list(devices)
        with all_tenants():
            async with (await self._catalog.get()).transaction() as connection:
                found = await load_some_devices(connection, wanted)
        if len(self._known) + len(wanted) > MAX_DEVICES:
            self._known.clear()  # those in use are read again
        for device in wanted:
            self._known[device] = found.get(device)

    async def refusal(self, device: str, key: str, generation: int) -> SignatureError | None:
        """Return why a certificate is not accepted (any more); None: it is. Raises StoreError."""
        refusal = certificate_refusal(await self.get(device), device, key, generation)
        if refusal is not None and refusal.code in ("generation", "unknown"):
            await self._read([device])  # it may have renewed within this second
            refusal = certificate_refusal(await self.get(device), device, key, generation)
        return refusal

    async def run(self) -> None:
        """Keep what is known fresh until cancelled."""
        is_down = False
        while True:
            try:
                await self.poll()
                is_down = False
            except StoreError as error:
                if not is_down:
                    log.error("changes of devices cannot be read: %s", error)
                is_down = True
            await asyncio.sleep(POLL_S)

    async def poll(self) -> None:
        """Read the known devices that changed since the last call."""
        with all_tenants():
            async with (await self._catalog.get()).transaction() as connection:
                now_ms = await database_now_ms(connection)
                since_ms = (self._since_ms or now_ms) - OVERLAP_MS
                changes = await changed_devices(connection, since_ms)
        new = [
            device
            for device, changed_ms in changes.items()
            if device in self._known and self._changes.get(device) != changed_ms
        ]
        if new:
            await self._read(new)
        self._changes = changes
        self._since_ms = now_ms

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run inside the block."""
        task = asyncio.create_task(self.run(), name="device registry")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def certificate_refusal(
    known: Device | None, device: str, key: str, generation: int
) -> SignatureError | None:
    """Return why a certificate with this key and generation is not accepted; None: it is."""
    if known is None:
        return SignatureError("unknown", f"no device {device} is enrolled")
    if known.state != "enrolled":
        return SignatureError(known.state, f"the device {device} is {known.state}")
    found = known.keys.get(key)
    if found is None or found.revoked or found.last_generation is not None:
        return SignatureError("unknown", f"{device} was enrolled again with another key")
    # The one before is in use until the answer of a renewal has arrived.
    if not known.generation - 1 <= generation <= known.generation:
        return SignatureError(
            "generation", f"the certificate of {device} was replaced by a newer one"
        )
    return None
