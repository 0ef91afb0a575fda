"""Devices and their keys: what a signature is checked against, and the states of devices.

A function that takes an open connection belongs to the caller's transaction: the audit log's entry
is written in the same one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.device_identity import Device, DeviceKey, DeviceState
from domain.errors import ConflictError
from stores.catalog.pool import Catalog, Connection, Row, sql


@dataclass(frozen=True, slots=True)
class EnrolledDevice:
    """A device as its row has it. Times in UTC ms."""

    id: str
    """tenant/site/device"""
    state: DeviceState
    generation: int
    key: str
    """Id of its key."""
    enrolled_ms: int
    renewed_ms: int
    expires_ms: int
    """When its newest certificate expires."""
    locked_ms: int | None
    locked_why: str | None
    revoked_ms: int | None
    can_rejoin: bool
    """After an unlock: the next renewal is accepted with whatever generation."""
    certificate: str
    """PEM, the newest."""
    renewal_id: str
    """Of the request for it."""

    @property
    def site(self) -> str:
        """tenant/site."""
        return self.id.rsplit("/", 1)[0]

    def audited(self) -> dict[str, Any]:
        """Return what the audit log has of it."""
        return {"state": self.state, "generation": self.generation, "key": self.key}


async def load_devices(connection: Connection, site: str | None = None) -> dict[str, Device]:
    """Return the devices of a site, or all, with their keys: by tenant/site/device."""
    return _devices(await connection.fetch(sql("load_devices"), site))


async def load_some_devices(connection: Connection, ids: Iterable[str]) -> dict[str, Device]:
    """Return these devices where they exist, as `load_devices` does."""
    return _devices(await connection.fetch(sql("load_some_devices"), sorted(set(ids))))


def _devices(rows: Sequence[Row]) -> dict[str, Device]:
    keys: dict[str, dict[str, DeviceKey]] = {}
    for row in rows:
        keys.setdefault(row["id"], {})[row["key"]] = DeviceKey(
            row["public_key"], row["first_generation"], row["last_generation"], row["revoked"]
        )
    return {
        row["id"]: Device(row["id"], row["state"], row["generation"], keys[row["id"]])
        for row in rows
    }


async def changed_devices(connection: Connection, since_ms: int) -> dict[str, int]:
    """Return the devices that changed since then, each with when: UTC ms, PostgreSQL's clock."""
    rows = await connection.fetch(sql("changed_devices"), since_ms)
    return {row["id"]: row["changed_ms"] for row in rows}


async def database_now_ms(connection: Connection) -> int:
    """Return the clock of PostgreSQL, UTC ms."""
    return int(await connection.fetchval(sql("database_now_ms")))


async def get_device(catalog: Catalog, device: str) -> EnrolledDevice | None:
    """Return a device, or None."""
    row = await catalog.row("get_device", device)
    return None if row is None else EnrolledDevice(**dict(row))


async def list_devices(
    catalog: Catalog,
    scopes: Iterable[str],
    *,
    after: str = "",
    site: str | None = None,
    limit: int = 1_000,
) -> list[EnrolledDevice]:
    """Return the devices of the sites within these scopes, by id."""
    rows = await catalog.rows("list_devices", list(scopes), after, site, limit)
    return [EnrolledDevice(**dict(row)) for row in rows]


async def lock_device(connection: Connection, device: str) -> EnrolledDevice | None:
    """Return a device, which no one else changes until the transaction ends."""
    row = await connection.fetchrow(sql("lock_device"), device)
    return None if row is None else EnrolledDevice(**dict(row))


async def lock_device_name(connection: Connection, device: str) -> None:
    """Let no one else enrol a device of this name until the transaction ends."""
    await connection.execute(sql("lock_device_name"), device)


async def set_device_state(
    connection: Connection, device: EnrolledDevice, state: DeviceState, now_ms: int, why: str = ""
) -> None:
    """Lock (`why`: for people), revoke or unlock a device; `now_ms`: UTC.

    An unlocked device joins again by its next renewal, whatever its generation. Nothing that the
    keys of a revoked one signed is believed any more.
    """
    await connection.execute(sql("set_device_state"), device.id, state, now_ms, why or None)
    if state == "revoked":
        await connection.execute(sql("end_device_keys"), device.id, device.generation, True)


async def change_device_state(
    connection: Connection, device: str, state: DeviceState, now_ms: int
) -> tuple[EnrolledDevice, EnrolledDevice]:
    """Revoke a device, or unlock it (`enrolled`); return it before and after.

    ConflictError: there is no such device, or its state does not allow that.
    """
    before = await lock_device(connection, device)
    if before is None:
        raise ConflictError(f"There is no device {device}; `vigil device list` shows them.")
    if before.state == state and state == "revoked":
        raise ConflictError(f"{device} is revoked already.")
    if state == "enrolled" and before.state != "locked":
        raise ConflictError(
            f"{device} is {before.state}, not locked. To enrol it again, use `vigil device code "
            f"{device}`."
        )
    await set_device_state(connection, before, state, now_ms)
    after = await lock_device(connection, device)
    assert after is not None
    return before, after
