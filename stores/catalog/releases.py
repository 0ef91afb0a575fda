"""Releases as they were signed, and which of them may be installed.

A command signs and adds them; no worker may. A release is withdrawn by a rollback.
"""

from dataclasses import dataclass
from functools import lru_cache

from domain.audit import AuditOrigin
from domain.errors import ConfigError, ConflictError
from domain.fleet.release import FleetRelease, ReleaseSignature, SignedRelease
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, sql


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A release and who added it, when (UTC ms), and why it is withdrawn, if it is."""

    number: int
    version: str
    text: str
    signed_by: str
    signature: bytes
    added_ms: int
    added_by: str
    note: str
    withdrawn_ms: int | None
    withdrawn_why: str | None

    @property
    def signed(self) -> SignedRelease:
        """Return what a device gets."""
        return SignedRelease(self.text, ReleaseSignature(self.signed_by, self.signature))

    @property
    def release(self) -> FleetRelease:
        """Return the release. ConfigError: the row is damaged."""
        return _parse(self.text)


@lru_cache(maxsize=256)
def _parse(text: str) -> FleetRelease:
    """Parse once: each poll of each device asks."""
    return FleetRelease.parse(text)


async def add_release(
    catalog: Catalog,
    signed: SignedRelease,
    *,
    now_ms: int,
    by: str,
    note: str,
    origin: AuditOrigin,
) -> FleetRelease:
    """Add a release. ConflictError: its number or version exists; the number must be the next."""
    release = FleetRelease.parse(signed.text)
    async with catalog.transaction() as connection:
        known = await list_releases(connection)
        newest = max((each.number for each in known), default=0)
        if known and release.number != newest + 1:
            raise ConflictError(
                f"The newest release is {newest}, so the next one has the number {newest + 1}, not "
                f"{release.number}."
            )
        row = await connection.fetchrow(
            sql("add_release"),
            release.number,
            release.version,
            signed.text,
            signed.signature.key,
            signed.signature.value,
            now_ms,
            by,
            note,
        )
        if row is None:
            raise ConflictError(
                f"There is a release {release.version} or with the number {release.number} "
                "already. `vigil fleet release list` shows them."
            )
        entry = origin.entry(
            now_ms,
            "release:add",
            f"release:{release.number}",
            after={"version": release.version, "signed_by": signed.signature.key},
            reason=note,
        )
        await write_audit(connection, entry)
    return release


async def list_releases(connection: Connection) -> list[StoredRelease]:
    """Return all releases, the newest first."""
    return [StoredRelease(**dict(row)) for row in await connection.fetch(sql("list_releases"))]


async def find_release(connection: Connection, name: str) -> StoredRelease:
    """Return a release by its version or number. ConfigError: there is none."""
    for each in await list_releases(connection):
        if name in (each.version, str(each.number)):
            return each
    raise ConfigError(f"There is no release {name}. `vigil fleet release list` shows them.")


async def withdraw_release(connection: Connection, number: int, now_ms: int, why: str) -> None:
    """Give a release to no device any more."""
    await connection.execute(sql("withdraw_release"), number, now_ms, why)
