"""Codes that enrol devices, and the rows that enrolments and renewals write.

A function that takes an open connection belongs to the caller's transaction: the audit log's entry
is written in the same one.
"""

import secrets
from dataclasses import dataclass

from domain.device_identity import key_id
from domain.enrolment_code import (
    MAX_LIFETIME_MS,
    MAX_OPEN_CODES,
    RANDOM_BYTES,
    code_hash,
    enrolment_code,
)
from domain.errors import ConflictError
from stores.catalog.devices import EnrolledDevice
from stores.catalog.pool import Connection, sql
from stores.device_ca import IssuedCertificate

KEPT_MS = 7 * 86_400_000
"""Codes are kept this long after they expired: a device with an old one gets a clear answer."""


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A code as its row has it; the code itself is stored nowhere. Times in UTC ms."""

    id: int
    site: str
    """tenant/site"""
    device: str | None
    """tenant/site/device that it enrols again; None: it enrols a new device of the site."""
    expires_ms: int
    used_ms: int | None
    used_by: str | None
    """tenant/site/device."""
    failures: int
    """Enrolments that it refused."""


async def create_code(
    connection: Connection,
    site: str,
    device: str | None,
    *,
    lifetime_ms: int,
    created_by: str,
    now_ms: int,
) -> tuple[int, str]:
    """Make a code; return its number and the code itself, which is shown once.

    ConflictError: the site has too many open codes, or does not exist.
    """
    assert 0 < lifetime_ms <= MAX_LIFETIME_MS
    if await connection.fetchval(sql("lock_site_row"), site) is None:
        raise ConflictError(f"There is no site {site}. Create it, or a camera of it, first.")
    await connection.execute(sql("delete_old_codes"), now_ms - KEPT_MS)
    if await connection.fetchval(sql("count_open_codes"), site, now_ms) >= MAX_OPEN_CODES:
        raise ConflictError(f"{site} has {MAX_OPEN_CODES} codes that are not used. Use these.")
    code = enrolment_code(secrets.token_bytes(RANDOM_BYTES))
    number = await connection.fetchval(
        sql("add_enrolment_code"),
        code_hash(code),
        site,
        device,
        now_ms,
        created_by,
        now_ms + lifetime_ms,
    )
    return int(number), code


async def lock_code(connection: Connection, hashed: bytes) -> EnrolmentCode | None:
    """Return a code by its hash; no one else uses it until the transaction ends."""
    row = await connection.fetchrow(sql("lock_code"), hashed)
    return None if row is None else EnrolmentCode(**dict(row))


async def count_code_failure(connection: Connection, code: EnrolmentCode) -> None:
    """Count a refused enrolment with a code."""
    await connection.execute(sql("count_code_failure"), code.id)


async def device_of_key(connection: Connection, key: str) -> str | None:
    """Return the device that has or had a key (its id); None: no one had it."""
    found = await connection.fetchval(sql("key_of_device"), key)
    return None if found is None else str(found)


async def store_enrolment(
    connection: Connection,
    code: EnrolmentCode,
    device: str,
    *,
    before: EnrolledDevice | None,
    public_key: bytes,
    issued: IssuedCertificate,
    now_ms: int,
) -> None:
    """Store a device with its first certificate, or its new key; the code is used.

    What the keys of a locked or revoked device signed is refused from now on.
    """
    generation = 1 if before is None else before.generation + 1
    key = key_id(public_key)
    if before is not None:
        is_refused = before.state != "enrolled"
        await connection.execute(sql("end_device_keys"), device, before.generation, is_refused)
    await connection.execute(
        sql("put_enrolled_device"),
        device,
        generation,
        key,
        issued.pem,
        key,  # an enrolment is repeated by its key
        now_ms,
        issued.expires_ms,
    )
    await connection.execute(sql("add_device_key"), key, device, public_key, generation, now_ms)
    await connection.execute(sql("use_code"), code.id, now_ms, device)


async def store_renewal(
    connection: Connection,
    device: EnrolledDevice,
    generation: int,
    *,
    issued: IssuedCertificate,
    renewal_id: str,
    now_ms: int,
) -> None:
    """Store the certificate of a renewal."""
    await connection.execute(
        sql("renew_device"),
        device.id,
        generation,
        issued.pem,
        renewal_id,
        now_ms,
        issued.expires_ms,
    )
