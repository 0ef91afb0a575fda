"""Retention rules and legal holds: who set them, and which are in force."""

from dataclasses import dataclass

from domain.errors import ConfigError
from domain.retention import (
    MAX_DAYS,
    LegalHold,
    Margins,
    RetentionPolicy,
    RetentionRule,
    check_scope,
)
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


async def set_rule(catalog: Catalog, rule: RetentionRule, who: str, now_ms: int) -> None:
    """Set how many days a scope's footage is kept; ConfigError for days out of range."""
    if not 1 <= rule.days <= MAX_DAYS:
        raise ConfigError(f"--days must be 1 to {MAX_DAYS}.")
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("set_retention_rule"), check_scope(rule.scope), rule.days, who, now_ms
        )


async def clear_rule(catalog: Catalog, scope: str) -> int | None:
    """Delete a scope's rule; return its days, None where there was none."""
    row = await catalog.row("clear_retention_rule", check_scope(scope))
    return None if row is None else int(row["days"])


async def list_rules(catalog: Catalog) -> list[StoredRule]:
    """Return all rules, by scope."""
    return [
        StoredRule(RetentionRule(row["scope"], row["days"]), row["set_by"], row["set_ms"])
        for row in await catalog.rows("list_retention_rules")
    ]


async def add_hold(
    catalog: Catalog, hold: LegalHold, who: str, why: str, now_ms: int
) -> tuple[int, int]:
    """Add a hold; return its number, and how many pending deletions are in its range.

    Waits until no deletion is in progress.
    """
    if hold.to_ms is not None and hold.to_ms <= hold.from_ms:
        raise ConfigError("--from must be before --to.")
    async with catalog.transaction() as connection:
        await connection.execute(sql("lock_holds"))
        row = await connection.fetchrow(
            sql("add_hold"),
            *(check_scope(hold.scope), hold.from_ms, hold.to_ms, who, why, now_ms),
        )
    assert row is not None
    return row["id"], row["pending"]


async def lift_hold(catalog: Catalog, number: int, who: str, now_ms: int) -> str | None:
    """Lift a hold; return its scope, None where none with this number is in force."""
    row = await catalog.row("lift_hold", number, who, now_ms)
    return None if row is None else str(row["scope"])


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
