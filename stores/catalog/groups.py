"""Groups of users: their grants and their members. Changes are functions of an open transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from domain.access import Grant, parse_grant
from stores.catalog.pool import Catalog, Connection, Row, sql
from stores.catalog.sessions import end_sessions_of_users
from stores.catalog.users import admin_remains, new_id

MemberSource = Literal["local", "oidc"]


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group. Times: UTC ms."""

    id: str
    name: str
    scope: str
    """Who has users:manage on this scope manages it."""
    created_ms: int
    version: int
    grants: tuple[Grant, ...]
    members: tuple[str, ...]
    """Ids of users."""


def _group_of(row: Row) -> UserGroup:
    return UserGroup(
        **{
            **dict(row),
            "grants": tuple(map(parse_grant, row["grants"])),
            "members": tuple(row["members"]),
        }
    )


async def create_group(
    connection: Connection, name: str, scope: str, grants: Sequence[Grant], now_ms: int
) -> str | None:
    """Create a group and return its id; None where the scope has a group of this name."""
    number: str | None = await connection.fetchval(sql("add_group"), new_id(), name, scope, now_ms)
    if number is not None:
        await connection.executemany(
            sql("add_group_grant"), [(number, grant.role, grant.scope) for grant in grants]
        )
    return number


async def get_group(connection: Connection, group: str) -> UserGroup | None:
    """Return a group and lock its row until the transaction ends; None where there is none."""
    row = await connection.fetchrow(sql("get_group"), group)
    return None if row is None else _group_of(row)


async def list_groups(
    catalog: Catalog, scopes: Sequence[str], after: str = "", limit: int = 1_000
) -> list[UserGroup]:
    """Return the groups below the scopes, by id."""
    rows = await catalog.rows("list_groups", list(scopes), after, limit)
    return [_group_of(row) for row in rows]


async def change_group(
    connection: Connection,
    group: UserGroup,
    now_ms: int,
    *,
    name: str,
    add_grants: Iterable[Grant] = (),
    remove_grants: Iterable[Grant] = (),
    add_members: Iterable[str] = (),
    remove_members: Iterable[str] = (),
    source: MemberSource = "local",
) -> bool:
    """Change a group; False: its scope has another group of this name. Raises LastAdminError.

    The sessions of users whose rights change end.
    """
    give, take = list(add_grants), list(remove_grants)
    join, leave = list(add_members), list(remove_members)
    if await connection.fetchval(sql("change_group"), group.id, name) is None:
        return False
    async with admin_remains(connection):
        for statement, grants in (
            (sql("add_group_grant"), give),
            (sql("delete_group_grant"), take),
        ):
            await connection.executemany(
                statement, [(group.id, grant.role, grant.scope) for grant in grants]
            )
        for statement, users in (
            (sql("add_group_member"), join),
            (sql("delete_group_member"), leave),
        ):
            await connection.executemany(statement, [(group.id, user, source) for user in users])
    changed = {*join, *leave, *(group.members if give or take else ())}
    await _rights_changed(connection, changed, now_ms)
    return True


async def delete_group(connection: Connection, group: UserGroup, now_ms: int) -> None:
    """Delete a group. Its members' sessions end. Raises LastAdminError."""
    async with admin_remains(connection):
        await connection.execute(sql("delete_group"), group.id)
    await _rights_changed(connection, group.members, now_ms)


async def _rights_changed(connection: Connection, users: Iterable[str], now_ms: int) -> None:
    changed = sorted(users)
    if changed:
        await connection.execute(sql("touch_users"), changed, now_ms)
        await end_sessions_of_users(connection, changed, now_ms)
