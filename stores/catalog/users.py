"""Users and their grants. Each change is a function of an open transaction."""

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.access import INSTALLATION, Grant, Principal, covers, parse_grant
from domain.errors import ConflictError
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.sessions import end_sessions_of_users


class LastAdminError(ConflictError):
    """The change would leave the installation, or tenants, without an admin who can sign in."""

    def __init__(self, scopes: Sequence[str]) -> None:
        names = ", ".join("the installation" if each == INSTALLATION else each for each in scopes)
        super().__init__(
            f"This is the last administrator of {names}. Give the role admin on "
            f"{', '.join(scopes)} to another user first. On the server, `vigil user` does it with "
            "--even-last-admin."
        )
        self.scopes = tuple(scopes)


@dataclass(frozen=True, slots=True)
class User:
    """A user as lists show him. Times: UTC ms."""

    id: str
    login: str | None
    """None: he signs in by OIDC only."""
    display_name: str
    scope: str
    """Who has users:manage on this scope manages him."""
    iss: str | None
    sub: str | None
    disabled_ms: int | None
    created_ms: int
    updated_ms: int
    version: int
    has_password: bool
    has_totp: bool
    own_grants: tuple[Grant, ...]
    groups: tuple[str, ...]
    """Ids of his groups."""
    grants: tuple[Grant, ...]
    """All of them: his own, and those of his groups."""

    @property
    def principal(self) -> Principal:
        """The user as the rules of access see him."""
        return Principal(f"user:{self.id}", self.grants)


def new_id() -> str:
    """Return an id for a user, a group or a session. It shows neither a count nor a time."""
    return secrets.token_hex(8)


def _user_of(row: Row) -> User:
    return User(
        **{
            **dict(row),
            "own_grants": tuple(map(parse_grant, row["own_grants"])),
            "groups": tuple(row["groups"]),
            "grants": tuple(map(parse_grant, row["grants"])),
        }
    )


async def create_user(
    connection: Connection,
    *,
    login: str | None,
    display_name: str,
    scope: str,
    now_ms: int,
    grants: Sequence[Grant] = (),
    password_hash: str | None = None,
    identity: tuple[str, str] | None = None,
) -> str | None:
    """Create a user and return his id; None where the login or the identity is taken.

    `identity`: (iss, sub) at the OIDC provider, for a user who signs in there.
    """
    iss, sub = identity if identity is not None else (None, None)
    number: str | None = await connection.fetchval(
        sql("add_user"), new_id(), login, display_name, scope, password_hash, iss, sub, now_ms
    )
    if number is not None:
        await connection.executemany(
            sql("add_user_grant"), [(number, grant.role, grant.scope) for grant in grants]
        )
    return number


async def get_user(connection: Connection, user: str) -> User | None:
    """Return a user and lock his row until the transaction ends; None where there is none."""
    row = await connection.fetchrow(sql("get_user"), user)
    return None if row is None else _user_of(row)


async def read_user(catalog: Catalog, user: str) -> User | None:
    """Return a user; None where there is none."""
    row = await catalog.row("read_user", user)
    return None if row is None else _user_of(row)


async def find_user(catalog: Catalog, login: str) -> User | None:
    """Return the user with a login; None where there is none."""
    row = await catalog.row("user_by_login", login)
    return None if row is None else _user_of(row)


async def find_identity(catalog: Catalog, iss: str, sub: str) -> User | None:
    """Return the user with an identity at an OIDC provider; None where there is none."""
    row = await catalog.row("user_by_identity", iss, sub)
    return None if row is None else _user_of(row)


async def list_users(
    catalog: Catalog, scopes: Sequence[str], after: str = "", limit: int = 1_000
) -> list[User]:
    """Return the users below the scopes, by id: by their own scope, or by a grant of theirs."""
    rows = await catalog.rows("list_users", list(scopes), after, limit)
    return [_user_of(row) for row in rows]


async def change_user(
    connection: Connection,
    user: User,
    *,
    display_name: str,
    disabled: bool,
    now_ms: int,
    exempt: str | None = None,
) -> None:
    """Rename a user, or let him sign in or not. Disabling ends his sessions.

    Raises LastAdminError; `exempt`: see admin_remains.
    """
    disabled_ms = (user.disabled_ms or now_ms) if disabled else None
    async with admin_remains(connection, exempt):
        await connection.execute(sql("change_user"), user.id, display_name, disabled_ms, now_ms)
    if disabled:
        await end_sessions_of_users(connection, [user.id], now_ms)


async def change_user_grants(
    connection: Connection,
    user: str,
    now_ms: int,
    *,
    add: Iterable[Grant] = (),
    remove: Iterable[Grant] = (),
    keep_session: str | None = None,
    exempt: str | None = None,
) -> None:
    """Give and take grants. His sessions end: who has other rights signs in again.

    `keep_session`: the session of the person who changes his own rights; renew its cookie.
    Raises LastAdminError; `exempt`: see admin_remains.
    """
    async with admin_remains(connection, exempt):
        for statement, grants in (
            (sql("add_user_grant"), add),
            (sql("delete_user_grant"), remove),
        ):
            rows = [(user, grant.role, grant.scope) for grant in grants]
            await connection.executemany(statement, rows)
    await connection.execute(sql("touch_users"), [user], now_ms)
    await end_sessions_of_users(connection, [user], now_ms, keep_session)


async def set_password(
    connection: Connection,
    user: str,
    password_hash: str | None,
    now_ms: int,
    *,
    keep_session: str | None = None,
) -> None:
    """Set the hash of a password. All sessions of the user end, and his devices are forgotten."""
    async with admin_remains(connection):
        await connection.execute(sql("set_password"), user, password_hash, now_ms)
    await connection.execute(sql("delete_devices"), user)
    await end_sessions_of_users(connection, [user], now_ms, keep_session)


@asynccontextmanager
async def admin_remains(
    connection: Connection, exempt: str | None = None
) -> AsyncIterator[list[str]]:
    """Raise LastAdminError where what is done inside takes the last admin from anyone.

    The installation and each tenant keep a user of their own who has the role admin there and can
    sign in. Where there was none, nothing is refused: `vigil user create` makes the first one.
    `exempt`: a scope in which the last one may go. Yields a list that holds the scopes which lost
    theirs, at the end.
    """
    lost: list[str] = []
    await connection.execute(sql("lock_admins"))
    before = await _administered(connection)
    yield lost
    if before:
        lost += sorted(before - await _administered(connection))
    kept = [scope for scope in lost if exempt is None or not covers(exempt, scope)]
    if kept:
        raise LastAdminError(kept)


async def _administered(connection: Connection) -> set[str]:
    return {row["scope"] for row in await connection.fetch(sql("administered_scopes"))}
