"""API keys: 256 random bits. The catalog stores only their hash."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from domain.access import INSTALLATION, Grant, Principal, Role, parse_grant
from domain.caller import Caller
from stores.catalog.pool import Catalog, Row, sql

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
    fingerprint: str = ""
    """A piece of its hash, in hex: two keys of the same number have different ones."""
    grants: tuple[Grant, ...] = ()
    expires_ms: int | None = None
    """UTC ms from which it is not valid. None: it does not expire."""
    networks: tuple[str, ...] | None = None
    """Networks of the clients that may use it, such as 10.1.0.0/16. None: any."""
    used_ms: int | None = None
    """UTC ms of the last recorded use. None: there is none."""

    def is_expired(self, now_ms: int) -> bool:
        """Return whether it is not valid any more."""
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
        return Caller(self.principal, self.name, session=session, key=self.id)


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

    def state(self, now_ms: int) -> str:
        """Return "valid", "expired" or "revoked"."""
        if self.revoked_ms is not None:
            return "revoked"
        return "valid" if self.expires_ms is None or now_ms < self.expires_ms else "expired"


def _hash(key: str) -> bytes:
    # The key is long and random, so a fast hash is safe.
    return hashlib.sha256(key.encode()).digest()


async def create_key(
    catalog: Catalog,
    name: str,
    now_ms: int,
    edge_of: str | None = None,
    grants: Sequence[Grant] = READ_ALL,
    *,
    expires_ms: int | None = None,
    networks: Sequence[str] | None = None,
) -> str:
    """Create a key and return it: it cannot be read later. The parameters: see ApiKey.

    A key with `edge_of` reads its site's configuration and has no other grants.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    given = (Grant(Role.EDGE, edge_of),) if edge_of is not None else tuple(grants)
    async with catalog.transaction() as connection:
        number = await connection.fetchval(
            sql("add_api_key"),
            name,
            _hash(key),
            key[:HINT_LENGTH],
            now_ms,
            edge_of,
            expires_ms,
            networks,
        )
        await connection.executemany(
            sql("add_api_key_grant"), [(number, grant.role, grant.scope) for grant in given]
        )
    return key


async def list_keys(catalog: Catalog) -> list[ListedKey]:
    """Return all keys, revoked ones too, oldest first."""
    rows = await catalog.rows("list_api_keys")
    return [
        ListedKey(**{**dict(row), "grants": _grants_of(row), "networks": _networks_of(row)})
        for row in rows
    ]


async def find_key(catalog: Catalog, key: str) -> ApiKey | None:
    """Return the valid key, or None."""
    hashed = _hash(key)
    row = await catalog.row("api_key_by_hash", hashed)
    if row is None or not hmac.compare_digest(row["hash"], hashed):
        return None
    return _key_of(row)


def _key_of(row: Row) -> ApiKey:
    # The hash is hashed again: who reads a cookie learns nothing of the catalog's.
    fingerprint = hashlib.sha256(b"fingerprint " + row["hash"]).hexdigest()[:16]
    return ApiKey(
        row["id"],
        row["name"],
        row["edge_of"],
        fingerprint,
        _grants_of(row),
        row["expires_ms"],
        _networks_of(row),
        row["used_ms"],
    )


def _grants_of(row: Row) -> tuple[Grant, ...]:
    return tuple(parse_grant(grant) for grant in row["grants"])


def _networks_of(row: Row) -> tuple[str, ...] | None:
    return None if row["networks"] is None else tuple(row["networks"])


async def note_key_use(catalog: Catalog, key: ApiKey, now_ms: int) -> None:
    """Record that a key is used now; writes once a minute at most."""
    if key.used_ms is not None and key.used_ms > now_ms - USE_RECORDED_EVERY_MS:
        return
    async with catalog.transaction() as connection:
        await connection.execute(sql("note_api_key_use"), key.id, now_ms)


async def get_key(catalog: Catalog, number: int, session: str) -> ApiKey | None:
    """Return the key with this number; None where it is revoked, or this session was ended."""
    row = await catalog.row("api_key_by_session", number, session)
    return None if row is None else _key_of(row)


async def end_session(catalog: Catalog, session: str, until_ms: int, now_ms: int) -> None:
    """Accept a session no more, in all workers. `until_ms`: when its cookie expires."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("end_session"), session, until_ms, now_ms)


async def revoke_key(catalog: Catalog, number: int, now_ms: int) -> str | None:
    """Revoke a key; return its name, None where there is no such key."""
    row = await catalog.row("revoke_api_key", number, now_ms)
    return None if row is None else str(row["name"])
