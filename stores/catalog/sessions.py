"""Sessions as rows. The browser has 256 random bits; the catalog has their SHA-256."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from domain.access import Principal, needs_second_factor, parse_grant
from domain.caller import Caller
from domain.oidc import CheckTimes
from domain.printable import printable
from domain.sign_in import IDLE_MS, LIFETIME_MS, SEEN_EVERY_MS
from stores.catalog.keys import ApiKey, get_key
from stores.catalog.pool import Catalog, Connection, sql

MAX_AGENT = 300


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that is valid now: who has it, and when it ends. Times: UTC ms."""

    caller: Caller
    key: ApiKey | None
    """The key that signed in; its limits hold for the session. None: a user signed in."""
    seen_ms: int
    until_ms: int
    provider: str | None = None
    """The OpenID provider by which the user signed in; None: by a password or a key."""
    checked: CheckTimes | None = None
    """When the provider was asked about the user."""

    def is_valid(self, now_ms: int) -> bool:
        """Return whether neither its time nor that of its key is over."""
        if now_ms >= self.until_ms or now_ms >= self.seen_ms + IDLE_MS:
            return False
        return self.key is None or not self.key.is_expired(now_ms)


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as lists show it. Times: UTC ms."""

    id: str
    user_id: str | None
    key: int | None
    created_ms: int
    seen_ms: int
    until_ms: int
    address: str
    agent: str


def new_token() -> str:
    """Return the value of a new cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """Return what the catalog stores of a cookie. It is long and random: a fast hash is safe."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def create_session(
    connection: Connection,
    now_ms: int,
    *,
    user: str | None = None,
    key: int | None = None,
    address: str,
    agent: str,
) -> tuple[str, str]:
    """Open a session of a user or of a key; return its id and the value of its cookie."""
    session, token = secrets.token_hex(8), new_token()
    await connection.execute(
        sql("add_session"),
        session,
        token_hash(token),
        user,
        key,
        now_ms,
        now_ms + LIFETIME_MS,
        address,
        printable(agent, MAX_AGENT),
    )
    return session, token


async def find_session(catalog: Catalog, token: str, now_ms: int) -> OpenSession | None:
    """Return the session of a cookie; None: there is none, it ended, or its key or user is off."""
    row = await catalog.row("find_session", token_hash(token), now_ms, IDLE_MS)
    if row is None:
        return None
    by_provider = row["provider"] is not None
    if row["key"] is not None:
        key = await get_key(catalog, row["key"])
        if key is None or key.is_expired(now_ms):
            return None
        caller = key.caller(row["id"])
    else:
        key = None
        grants = tuple(map(parse_grant, row["grants"]))
        caller = Caller(
            Principal(f"user:{row['user_id']}", grants),
            row["display_name"],
            session=row["id"],
            user=row["user_id"],
            # A provider asks for the second factor itself.
            must_enrol=not by_provider
            and not row["has_totp"]
            and needs_second_factor(grants, row["factor_scopes"]),
        )
    return OpenSession(
        caller,
        key,
        row["seen_ms"],
        row["until_ms"],
        row["provider"],
        CheckTimes(row["confirmed_ms"], row["tried_ms"]) if by_provider else None,
    )


async def note_session_use(catalog: Catalog, session: OpenSession, now_ms: int) -> None:
    """Record that a session is used now; writes once a minute at most."""
    if session.seen_ms > now_ms - SEEN_EVERY_MS:
        return
    async with catalog.reading() as connection:
        await connection.execute(
            sql("note_session_use"), session.caller.session, now_ms, SEEN_EVERY_MS
        )


async def renew_session(connection: Connection, session: str) -> str | None:
    """Give a session a new cookie and return it; the old one opens nothing. None: it ended."""
    token = new_token()
    renewed = await connection.fetchval(sql("renew_session"), session, token_hash(token))
    return None if renewed is None else token


async def session_of(connection: Connection, token: str) -> ListedSession | None:
    """Return the session of a cookie, with its owner; None where it ended."""
    number = await connection.fetchval(sql("session_by_hash"), token_hash(token))
    return None if number is None else await get_session(connection, number)


async def get_session(connection: Connection, session: str) -> ListedSession | None:
    """Return a session that has not ended; None otherwise."""
    row = await connection.fetchrow(sql("get_session"), session)
    return None if row is None else ListedSession(**dict(row))


async def list_sessions(
    catalog: Catalog, now_ms: int, *, user: str | None = None, key: int | None = None
) -> list[ListedSession]:
    """Return the open sessions of a user or of a key, newest first."""
    rows = await catalog.rows("list_sessions", user, key, now_ms, IDLE_MS)
    return [ListedSession(**dict(row)) for row in rows]


async def end_sessions(connection: Connection, sessions: Iterable[str], now_ms: int) -> list[str]:
    """End sessions; return the ids of those that had not ended."""
    rows = await connection.fetch(sql("end_sessions"), list(sessions), now_ms)
    return [row["id"] for row in rows]


async def end_all_sessions(catalog: Catalog, now_ms: int) -> int:
    """End the sessions of all people; return how many."""
    async with catalog.transaction() as connection:
        return int(await connection.fetchval(sql("end_all_sessions"), now_ms))


async def end_sessions_of_users(
    connection: Connection, users: Sequence[str], now_ms: int, keep: str | None = None
) -> list[str]:
    """End all sessions of users, but for one; return their ids."""
    rows = await connection.fetch(sql("end_sessions_of_users"), list(users), now_ms, keep)
    return [row["id"] for row in rows]


async def end_sessions_of_key(
    connection: Connection, key: int, now_ms: int, keep: str | None = None
) -> list[str]:
    """End all sessions that a key opened, but for one; return their ids."""
    rows = await connection.fetch(sql("end_sessions_of_key"), key, now_ms, keep)
    return [row["id"] for row in rows]
