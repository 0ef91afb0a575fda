"""The public keys that verify the configuration of sites. The private ones are never here."""

from dataclasses import dataclass

from domain.audit import AuditOrigin
from domain.device_identity import key_id
from domain.errors import ConfigError
from domain.site_config import Successor
from stores.catalog.audit import write_audit
from stores.catalog.pool import Connection, sql


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One public key of the installation."""

    id: str
    public_key: bytes
    """Ed25519, raw."""
    added_ms: int
    endorsed_by: str | None = None
    """Id of the key before it; None: the first key."""
    endorsement: bytes | None = None

    @property
    def successor(self) -> Successor | None:
        """What a device follows that has pinned the key before it. None: the first key."""
        if self.endorsed_by is None or self.endorsement is None:
            return None
        return Successor(self.public_key, self.endorsed_by, self.endorsement)


async def list_config_keys(connection: Connection) -> list[ConfigKey]:
    """Return all keys, the oldest first."""
    return [ConfigKey(**dict(row)) for row in await connection.fetch(sql("list_config_keys"))]


async def newest_config_key(connection: Connection) -> bytes | None:
    """Return the raw public key that a device pins at its enrolment; None: there is none yet."""
    keys = await list_config_keys(connection)
    return keys[-1].public_key if keys else None


async def add_config_key(
    connection: Connection,
    public_key: bytes,
    successor: Successor | None,
    *,
    now_ms: int,
    origin: AuditOrigin,
) -> str:
    """Add the first key, or one that the newest key has signed; return its id.

    Run it in a transaction. Raises ConfigError where it is neither.
    """
    await connection.execute(sql("lock_config_keys"))
    keys = await list_config_keys(connection)
    id_ = key_id(public_key)
    if not keys and successor is not None:
        raise ConfigError("There is no configuration key yet. Use `vigil config-key create`.")
    if keys and (successor is None or successor.signed_by != keys[-1].id):
        raise ConfigError(
            f"The configuration key {keys[-1].id} is in use. To replace it, use "
            "`vigil config-key rotate` with its file in VIGIL_CONFIG_KEY_FILE."
        )
    endorsed_by, value = (successor.signed_by, successor.value) if successor else (None, None)
    await connection.execute(sql("add_config_key"), id_, public_key, now_ms, endorsed_by, value)
    entry = origin.entry(
        now_ms,
        "config-key:add",
        f"config-key:{id_}",
        before=None if successor is None else {"key": successor.signed_by},
        after={"key": id_},
    )
    await write_audit(connection, entry)
    return id_
