"""API keys: 256 random bits. The catalog stores only their hash."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from domain.access import (
    INSTALLATION,
    Grant,
    Principal,
    Role,
    common_grants,
    key_tenant,
    parse_grant,
    scopes_without_admin,
)
from domain.audit import BY_SYSTEM, AuditOrigin, PersonalData, tenant_of
from domain.caller import Caller
from domain.errors import ConflictError
from domain.key_limits import KeyOwner
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, Row, sql

PREFIX = "vigil_"
HINT_LENGTH = len(PREFIX) + 4
USE_RECORDED_EVERY_MS = 60_000
READ_ALL = (Grant(Role.VIEWER, INSTALLATION), Grant(Role.MONITOR, INSTALLATION))
"""What a key may do that was created without grants: as before there were any."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A valid key: its number and the name of its owner."""

    id: int
    name: str
    edge_of: str | None = None
    """tenant/site, for the key of an edge. None: a key of people and programs."""
    grants: tuple[Grant, ...] = ()
    expires_ms: int | None = None
    """UTC ms from which it is not valid. None: it does not expire."""
    networks: tuple[str, ...] | None = None
    """Networks of the clients that may use it, such as 10.1.0.0/16. None: any."""
    used_ms: int | None = None
    """UTC ms of the last recorded use. None: there is none."""
    owner: KeyOwner | None = None
    """The person whose key it is; `grants` are those that he has too. None: a service's."""

    def is_expired(self, now_ms: int) -> bool:
        """Return whether it is not valid any more: its time is over, or its owner is out."""
        if self.owner is not None and not self.owner.may_use_keys(now_ms):
            return True
        return self.expires_ms is not None and now_ms >= self.expires_ms

    def allows_client(self, address: str) -> bool:
        """Return whether a client with this address may use it."""
        if self.networks is None:
            return True
        try:
            client = ip_address(address)
        except ValueError:
            return False
        if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        networks = map(ip_network, self.networks)
        return any(client.version == each.version and client in each for each in networks)

    @property
    def principal(self) -> Principal:
        """The key as the rules of access see it."""
        return Principal(f"key:{self.id}", self.grants)

    def caller(self, session: str | None = None) -> Caller:
        """Return who sends a request with this key, or by a session that it opened."""
        return Caller(
            self.principal,
            self.name,
            session=session,
            key=self.id,
            owner=None if self.owner is None else self.owner.id,
        )


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as lists show it; `hint`: its first characters. Times: UTC ms."""

    id: int
    name: str
    edge_of: str | None
    hint: str
    created_ms: int
    revoked_ms: int | None
    expires_ms: int | None
    networks: tuple[str, ...] | None
    used_ms: int | None
    """Of its last use, to the minute. None: never used."""
    grants: tuple[Grant, ...]
    created_by: str | None = None
    """The principal that created it. None: a command on the server."""
    rotated_from: int | None = None
    """Number of the key that it replaces."""
    tenant: str = INSTALLATION
    """The one tenant that all its grants are in, else `*`."""
    owner: str | None = None
    """Id of the user whose key it is. None: a service's, or a device's."""

    @property
    def scopes(self) -> frozenset[str]:
        """What someone must manage who manages the key. One of several tenants: everything."""
        if self.tenant == INSTALLATION:
            return frozenset({INSTALLATION})
        return frozenset(grant.scope for grant in self.grants)

    def state(self, now_ms: int) -> str:
        """Return "valid", "expired" or "revoked"."""
        if self.revoked_ms is not None:
            return "revoked"
        return "valid" if self.expires_ms is None or now_ms < self.expires_ms else "expired"

    def successor(self, now_ms: int, created_by: str | None = None) -> "NewKey":
        """Return the key that replaces it: the same grants and limits, and as long a life."""
        return NewKey(
            name=self.name,
            grants=self.grants,
            edge_of=self.edge_of,
            expires_ms=None
            if self.expires_ms is None
            else now_ms + self.expires_ms - self.created_ms,
            networks=self.networks,
            created_by=created_by,
            rotated_from=self.id,
            owner=self.owner,
        )


def _hash(key: str) -> bytes:
    # The key is long and random, so a fast hash is safe.
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key to create; the fields: see ApiKey and ListedKey."""

    name: str
    grants: tuple[Grant, ...]
    edge_of: str | None = None
    expires_ms: int | None = None
    networks: tuple[str, ...] | None = None
    created_by: str | None = None
    rotated_from: int | None = None
    owner: str | None = None

    @property
    def tenant(self) -> str:
        """Whose audit log has it: the tenant of all its grants, or the installation's."""
        return tenant_of(grant.scope for grant in self.grants)

    def audited(self) -> dict[str, Any]:
        """Return what the audit log has of it. Its name is personal data, and apart."""
        return {
            "grants": sorted(map(str, self.grants)),
            "expires_ms": self.expires_ms,
            "networks": self.networks,
            "rotated_from": self.rotated_from,
            **({} if self.owner is None else {"owner": f"user:{self.owner}"}),
        }


async def create_key(
    catalog: Catalog,
    name: str,
    now_ms: int,
    edge_of: str | None = None,
    grants: Sequence[Grant] = READ_ALL,
    *,
    expires_ms: int | None = None,
    networks: Sequence[str] | None = None,
    origin: AuditOrigin = BY_SYSTEM,
) -> str:
    """Create a key and return it: it cannot be read later. The parameters: see ApiKey.

    A key with `edge_of` reads its site's configuration and has no other grants.
    """
    given = (Grant(Role.EDGE, edge_of),) if edge_of is not None else tuple(grants)
    new = NewKey(
        name=name,
        grants=given,
        edge_of=edge_of,
        expires_ms=expires_ms,
        networks=None if networks is None else tuple(networks),
    )
    async with catalog.transaction() as connection:
        number, key = await add_key(connection, new, now_ms)
        await write_audit(
            connection,
            origin.entry(
                now_ms,
                "key:create",
                f"key:{number}",
                tenant=new.tenant,
                after=new.audited(),
                about=PersonalData(f"key:{number}", {"name": name}),
            ),
        )
    return key


async def add_key(connection: Connection, new: NewKey, now_ms: int) -> tuple[int, str]:
    """Create a key in the open transaction; return its number and the key itself."""
    key = PREFIX + secrets.token_urlsafe(32)
    number = await connection.fetchval(
        sql("add_api_key"),
        new.name,
        _hash(key),
        key[:HINT_LENGTH],
        now_ms,
        new.edge_of,
        new.expires_ms,
        new.networks,
        new.created_by,
        new.rotated_from,
        key_tenant(new.grants),
        new.owner,
    )
    await connection.executemany(
        sql("add_api_key_grant"), [(number, grant.role, grant.scope) for grant in new.grants]
    )
    return int(number), key


async def rotate_key(
    connection: Connection, old: ListedKey, new: NewKey, old_expires_ms: int, now_ms: int
) -> tuple[int, str]:
    """Create the successor of a locked key, which expires; return its number and the key.

    Raises ConflictError where two keys of the line are valid already.
    """
    other = await connection.fetchval(sql("valid_key_of_line"), old.id, now_ms)
    if other is not None:
        raise ConflictError(
            f"Key {other} and key {old.id} are both valid. Revoke one, or wait until it expires."
        )
    made = await add_key(connection, new, now_ms)
    await connection.execute(sql("expire_api_key"), old.id, old_expires_ms)
    return made


async def list_keys(catalog: Catalog) -> list[ListedKey]:
    """Return all keys, revoked ones too, oldest first."""
    return [_listed(row) for row in await catalog.rows("list_api_keys")]


async def keys_of(
    catalog: Catalog,
    scopes: Iterable[str],
    now_ms: int,
    *,
    ended: bool = False,
    before: int | None = None,
    limit: int = 1_000,
) -> list[ListedKey]:
    """Return the keys of which all grants are within `scopes`, newest first.

    `before`: only numbers below this one. `ended`: with those that expired or were revoked.
    """
    last = (1 << 62) if before is None else before
    rows = await catalog.rows("api_keys_of", list(scopes), ended, now_ms, last, limit)
    return [_listed(row) for row in rows]


async def lock_key(connection: Connection, number: int) -> ListedKey | None:
    """Return a key, which no one else changes until the transaction ends."""
    row = await connection.fetchrow(sql("lock_api_key"), number)
    return None if row is None else _listed(row)


def _listed(row: Row) -> ListedKey:
    return ListedKey(**{**dict(row), "grants": _grants_of(row), "networks": _networks_of(row)})


async def check_admin_left(connection: Connection, going: ListedKey, now_ms: int) -> None:
    """Raise ConflictError where a key is the last one that administers a scope.

    The lock that it takes lets no one else remove an admin until the transaction ends.
    """
    await connection.execute(sql("lock_admins"))
    if going.state(now_ms) != "valid" or going.owner is not None:
        return  # its owner is an admin without it
    rows = await connection.fetch(sql("other_admin_scopes"), now_ms, going.id)
    alone = scopes_without_admin(going.grants, [row["scope"] for row in rows])
    if alone:
        raise ConflictError(
            f"Key {going.id} is the last admin of {', '.join(alone)}. Create another one first, or "
            "use `vigil key revoke` on the server."
        )


async def find_key(catalog: Catalog, key: str) -> ApiKey | None:
    """Return the key, or None where it is unknown or revoked; see `is_expired` too."""
    hashed = _hash(key)
    row = await catalog.row("api_key_by_hash", hashed)
    if row is None or not hmac.compare_digest(row["hash"], hashed):
        return None
    return _key_of(row)


def _key_of(row: Row) -> ApiKey:
    owner = _owner_of(row)
    grants = _grants_of(row)
    return ApiKey(
        row["id"],
        row["name"],
        row["edge_of"],
        grants if owner is None else common_grants(grants, owner.grants),
        row["expires_ms"],
        _networks_of(row),
        row["used_ms"],
        owner,
    )


def _owner_of(row: Row) -> KeyOwner | None:
    if row["owner"] is None:
        return None
    return KeyOwner(
        row["owner"],
        tuple(parse_grant(grant) for grant in row["owns"] or ()),
        exists=row["owns"] is not None,
        disabled_ms=row["disabled_ms"],
        by_provider=row["iss"] is not None,
        confirmed_ms=row["provider_confirmed_ms"],
        refused_ms=row["provider_refused_ms"],
    )


def _grants_of(row: Row) -> tuple[Grant, ...]:
    return tuple(parse_grant(grant) for grant in row["grants"])


def _networks_of(row: Row) -> tuple[str, ...] | None:
    return None if row["networks"] is None else tuple(row["networks"])


async def note_key_use(catalog: Catalog, key: ApiKey, now_ms: int) -> None:
    """Record that a key is used now; writes once a minute at most."""
    if key.used_ms is not None and key.used_ms > now_ms - USE_RECORDED_EVERY_MS:
        return
    async with catalog.reading() as connection:
        await connection.execute(sql("note_api_key_use"), key.id, now_ms)


async def get_key(catalog: Catalog, number: int) -> ApiKey | None:
    """Return the key with this number; None where it is revoked."""
    row = await catalog.row("api_key_by_number", number)
    return None if row is None else _key_of(row)


async def revoke_key(
    catalog: Catalog, number: int, now_ms: int, *, origin: AuditOrigin = BY_SYSTEM
) -> str | None:
    """Revoke a key; return its name, None where there is no such key."""
    async with catalog.transaction() as connection:
        key = await lock_key(connection, number)
        if key is None:
            return None
        name = await end_key(connection, number, now_ms)
        entry = origin.entry(
            now_ms,
            "key:revoke",
            f"key:{number}",
            tenant=tenant_of(grant.scope for grant in key.grants),
            before={"state": key.state(now_ms)},
            after={"state": "revoked"},
        )
        await write_audit(connection, entry)
    return name


async def end_keys_of_user(connection: Connection, user: str, now_ms: int) -> list[int]:
    """Revoke all keys of a person; return their numbers."""
    rows = await connection.fetch(sql("revoke_keys_of_user"), user, now_ms)
    return [row["id"] for row in rows]


async def end_key(connection: Connection, number: int, now_ms: int) -> str | None:
    """Revoke a key in the open transaction, as `revoke_key` does."""
    name = await connection.fetchval(sql("revoke_api_key"), number, now_ms)
    return None if name is None else str(name)
