"""Devices in the catalog, as the enrolment service leaves them."""

from domain.device_identity import DeviceState
from domain.times import utc_ms
from stores.catalog import Catalog
from tests.devices import SigningDevice


async def enrol(
    catalog: Catalog,
    device: SigningDevice,
    state: DeviceState = "enrolled",
    *,
    key_revoked: bool = False,
) -> None:
    """Enrol a device with its first generation."""
    async with catalog.transaction() as connection:
        await connection.execute(
            "INSERT INTO devices (id, site, state, generation, key, certificate, renewal_id, "
            "enrolled_ms, renewed_ms, expires_ms, changed_ms) "
            "VALUES ($1, $2, $3, 1, $4, '', '', 0, 0, 0, $5)",
            device.id, device.id.rsplit("/", 1)[0], state, device.key, utc_ms(),
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO device_keys (id, device, public_key, first_generation, revoked, "
            "created_ms) VALUES ($1, $2, $3, 1, $4, 0)",
            device.key, device.id, device.public_key, key_revoked,
        )  # fmt: skip


async def set_state(catalog: Catalog, device: SigningDevice, state: DeviceState) -> None:
    """Lock, revoke or unlock a device."""
    async with catalog.transaction() as connection:
        await connection.execute(
            "UPDATE devices SET state = $2, changed_ms = $3 WHERE id = $1",
            device.id, state, utc_ms(),
        )  # fmt: skip
