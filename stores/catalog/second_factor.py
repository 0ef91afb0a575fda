"""Where people whose roles change, delete or export something need a second factor."""

from dataclasses import dataclass

from domain.access import INSTALLATION
from domain.errors import InvalidIdError
from domain.identity import check_tenant
from stores.catalog.pool import Catalog, Connection, sql


@dataclass(frozen=True, slots=True)
class SecondFactorRule:
    """A scope that requires it: `*` or a tenant. `set_ms`: UTC ms."""

    scope: str
    set_by: str
    set_by_id: str | None
    """The principal; None: a command on the server."""
    set_ms: int


def check_rule_scope(scope: str) -> str:
    """Return the scope of a rule, `*` or a tenant; raise InvalidIdError otherwise."""
    if scope == INSTALLATION:
        return scope
    if "/" in scope:
        raise InvalidIdError(
            f"{scope!r}: a second factor is required on * or on a tenant, not on a part of one."
        )
    return check_tenant(scope)


async def list_second_factor_rules(catalog: Catalog) -> list[SecondFactorRule]:
    """Return all rules, by scope."""
    rows = await catalog.rows("list_second_factor_rules")
    return [SecondFactorRule(**dict(row)) for row in rows]


async def require_second_factor(
    connection: Connection, scope: str, who: str, now_ms: int, *, principal: str | None = None
) -> bool:
    """Require it; return whether that is new."""
    statement = sql("require_second_factor")
    row = await connection.fetchval(statement, check_rule_scope(scope), who, principal, now_ms)
    return row is not None


async def release_second_factor(connection: Connection, scope: str) -> bool:
    """Require it no more; return whether that is new."""
    statement = sql("release_second_factor")
    return await connection.fetchval(statement, check_rule_scope(scope)) is not None
