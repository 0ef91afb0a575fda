"""Retention rules and legal holds: who set them, and which are in force."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.audit import BY_SYSTEM, AuditOrigin, tenant_of
from domain.errors import ConfigError
from domain.retention import (
    MAX_DAYS,
    LegalHold,
    Margins,
    RetentionPolicy,
    RetentionRule,
    check_scope,
)
from stores.catalog.audit import write_audit
from stores.catalog.pool import Catalog, Connection, Row, sql


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule, who set it, and when (UTC ms)."""

    rule: RetentionRule
    set_by: str
    set_ms: int


@dataclass(frozen=True, slots=True)
class StoredHold:
    """A hold, who ordered it and why, and who lifted it when. Times: UTC ms."""

    id: int
    hold: LegalHold
    added_by: str
    why: str
    added_ms: int
    lifted_by: str | None
    lifted_ms: int | None
    lifted_why: str | None = None


async def set_rule(
    catalog: Catalog,
    rule: RetentionRule,
    who: str,
    now_ms: int,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> None:
    """Set how many days a scope's footage is kept; ConfigError for days out of range."""
    async with catalog.transaction() as connection:
        before = await delete_rule(connection, rule.scope)
        await store_rule(connection, rule, who, now_ms)
        entry = origin.entry(
            now_ms,
            "retention:set",
            rule.scope,
            before=None if before is None else {"days": before},
            after={"days": rule.days},
        )
        await write_audit(connection, entry)


async def store_rule(
    connection: Connection,
    rule: RetentionRule,
    who: str,
    now_ms: int,
    *,
    principal: str | None = None,
) -> None:
    """Set a rule in the open transaction; ConfigError for days out of range.

    `who`: the name that people read; `principal`: such as user:ID, None for a command.
    """
    if not 1 <= rule.days <= MAX_DAYS:
        raise ConfigError(f"A rule keeps footage for 1 to {MAX_DAYS} days.")
    await connection.execute(
        sql("set_retention_rule"), check_scope(rule.scope), rule.days, who, now_ms, principal
    )


async def clear_rule(
    catalog: Catalog, scope: str, now_ms: int, *, origin: AuditOrigin = BY_SYSTEM
) -> int | None:
    """Delete a scope's rule; return its days, None where there was none."""
    async with catalog.transaction() as connection:
        days = await delete_rule(connection, scope)
        if days is not None:
            entry = origin.entry(now_ms, "retention:clear", scope, before={"days": days})
            await write_audit(connection, entry)
    return days


async def delete_rule(connection: Connection, scope: str) -> int | None:
    """Delete a scope's rule in the open transaction; return its days, None without one."""
    days = await connection.fetchval(sql("clear_retention_rule"), check_scope(scope))
    return None if days is None else int(days)


async def lock_rules(connection: Connection) -> None:
    """Let no one else change rules or holds until the transaction ends.

    It waits until no deletion is in progress.
    """
    await connection.execute(sql("lock_holds"))


async def list_rules(catalog: Catalog) -> list[StoredRule]:
    """Return all rules, by scope."""
    return [
        StoredRule(RetentionRule(row["scope"], row["days"]), row["set_by"], row["set_ms"])
        for row in await catalog.rows("list_retention_rules")
    ]


async def add_hold(
    catalog: Catalog,
    hold: LegalHold,
    who: str,
    why: str,
    now_ms: int,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> tuple[int, int]:
    """Add a hold; return its number, and how many pending deletions are in its range."""
    async with catalog.transaction() as connection:
        number, pending = await place_hold(connection, hold, who, why, now_ms)
        entry = origin.entry(
            now_ms,
            "hold:place",
            f"hold:{number}",
            tenant=tenant_of([hold.scope]),
            after={"scope": hold.scope, "from_ms": hold.from_ms, "to_ms": hold.to_ms},
            reason=why,
        )
        await write_audit(connection, entry)
    return number, pending


async def place_hold(
    connection: Connection,
    hold: LegalHold,
    who: str,
    why: str,
    now_ms: int,
    *,
    principal: str | None = None,
) -> tuple[int, int]:
    """Add a hold in the open transaction, as `add_hold` does. `principal`: see `store_rule`.

    Waits until no deletion is in progress. Raises ConfigError for a range that ends too early.
    """
    if hold.to_ms is not None and hold.to_ms <= hold.from_ms:
        raise ConfigError("A hold must end after it begins.")
    await connection.execute(sql("lock_holds"))
    row = await connection.fetchrow(
        sql("add_hold"),
        *(check_scope(hold.scope), hold.from_ms, hold.to_ms, who, why, now_ms, principal),
    )
    assert row is not None
    return row["id"], row["pending"]


async def lift_hold(
    catalog: Catalog,
    number: int,
    who: str,
    now_ms: int,
    why: str | None = None,
    *,
    origin: AuditOrigin = BY_SYSTEM,
) -> str | None:
    """Lift a hold; return its scope, None where none with this number is in force."""
    async with catalog.transaction() as connection:
        scope = await release_hold(connection, number, who, now_ms, why)
        if scope is not None:
            entry = origin.entry(
                now_ms,
                "hold:lift",
                f"hold:{number}",
                tenant=tenant_of([scope]),
                before={"scope": scope},
                reason=why or "",
            )
            await write_audit(connection, entry)
    return scope


async def release_hold(
    connection: Connection,
    number: int,
    who: str,
    now_ms: int,
    why: str | None,
    *,
    principal: str | None = None,
) -> str | None:
    """Lift a hold in the open transaction, as `lift_hold` does. `principal`: see `store_rule`."""
    scope = await connection.fetchval(sql("lift_hold"), number, who, now_ms, why, principal)
    return None if scope is None else str(scope)


async def lock_hold(connection: Connection, number: int) -> StoredHold | None:
    """Return a hold, which no one else lifts until the transaction ends."""
    row = await connection.fetchrow(sql("lock_hold"), number)
    return None if row is None else _hold(row)


async def holds_of(
    catalog: Catalog,
    scopes: Iterable[str],
    *,
    lifted: bool = False,
    before: int | None = None,
    limit: int = 1_000,
) -> list[StoredHold]:
    """Return the holds whose scope is within one of `scopes`, newest first.

    `before`: only numbers below this one. `lifted`: with those that were lifted.
    """
    last = (1 << 62) if before is None else before
    return [_hold(row) for row in await catalog.rows("holds_of", list(scopes), lifted, last, limit)]


async def scope_exists(connection: Connection, scope: str) -> bool:
    """Return whether a tenant, site or camera is registered."""
    return await connection.fetchrow(sql("scope_exists"), scope) is not None


async def list_holds(catalog: Catalog, *, lifted: bool = False) -> list[StoredHold]:
    """Return the holds in force; with `lifted`, all that ever were."""
    return [_hold(row) for row in await catalog.rows("list_holds", lifted)]


def _hold(row: Row) -> StoredHold:
    fields = dict(row)
    hold = LegalHold(fields.pop("scope"), fields.pop("from_ms"), fields.pop("to_ms"))
    return StoredHold(hold=hold, **fields)


async def load_policy(catalog: Catalog, margins: Margins) -> RetentionPolicy:
    """Return the rules and the holds in force."""
    async with catalog.transaction() as connection:
        return await read_policy(connection, margins)


async def read_policy(connection: Connection, margins: Margins) -> RetentionPolicy:
    """Return them as the open transaction sees them."""
    rules = [
        RetentionRule(row["scope"], row["days"])
        for row in await connection.fetch(sql("list_retention_rules"))
    ]
    holds = [_hold(row).hold for row in await connection.fetch(sql("list_holds"), False)]
    return RetentionPolicy(rules, holds, margins)
