"""Erasure of a tenant or a user from the catalog. Each step may be repeated.

begin_tenant   marks it, under the lock of legal holds: from then on, its tenant, sites, cameras,
               holds and grants cannot be made again
erase_rows     deletes its rows, table by table: stores/catalog/row_security.py lists all tables
erase_user     deletes a user, and the keys of his personal data in the audit log
"""

import re
from dataclasses import dataclass
from typing import Any

from domain.audit import BY_SYSTEM, AuditOrigin, tenant_of
from domain.errors import ConfigError, ConflictError
from stores.catalog.audit import write_audit
from stores.catalog.audit_log import erase_chain_personal, erase_subject
from stores.catalog.keys import end_keys_of_user
from stores.catalog.pool import Catalog, Connection, sql
from stores.catalog.row_security import RULES
from stores.catalog.users import admin_remains

_COLUMN = re.compile(r"[a-z_]+")
_LAST = ("devices", "cameras", "sites", "tenants")
"""What other tables reference, in the order in which rows can go."""


def _tables() -> list[tuple[str, str]]:
    """Return all tables whose rows belong to a tenant, with the column that says to which."""
    found = [
        (rule.table, rule.owner)
        for rule in RULES
        if rule.owner is not None
        and _COLUMN.fullmatch(rule.owner)
        and not rule.table.startswith("vigil_audit.")
        and rule.table != "users"  # erase_user
    ]
    return sorted(found, key=lambda each: _LAST.index(each[0]) if each[0] in _LAST else -1)


async def begin_tenant(
    catalog: Catalog, tenant: str, now_ms: int, origin: AuditOrigin = BY_SYSTEM
) -> bool:
    """Mark a tenant as erased; return whether that is new. ConflictError: legal holds cover it."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("lock_holds"))
        await _check_holds(connection, tenant)
        is_new = bool(
            await connection.fetchval(sql("begin_erasure"), f"tenant:{tenant}", tenant, now_ms)
        )
        if is_new:
            await write_audit(
                connection, origin.entry(now_ms, "tenant:erase", tenant, after={"state": "begun"})
            )
    return is_new


async def check_holds(catalog: Catalog, tenant: str) -> None:
    """Raise ConflictError where legal holds cover something of a tenant."""
    async with catalog.transaction() as connection:
        await _check_holds(connection, tenant)


async def _check_holds(connection: Connection, tenant: str) -> None:
    held = await connection.fetch(sql("holds_within"), tenant)
    if held:
        names = ", ".join(f"{row['id']} ({row['scope']})" for row in held[:20])
        raise ConflictError(
            f"Legal holds cover {tenant}: {names}. Nothing is erased. Lift them first with "
            "`vigil hold lift`, if that is allowed."
        )


async def count_rows(catalog: Catalog, tenant: str) -> dict[str, int]:
    """Return how many rows of a tenant each table has; without those that have none."""
    return await _each_table(catalog, tenant, "SELECT count(*) FROM")


async def erase_rows(catalog: Catalog, tenant: str) -> dict[str, int]:
    """Delete a tenant's rows, one partition in a transaction; return how many, by table."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("erase_replay_chunks"), tenant)
    return await _each_table(catalog, tenant, "DELETE FROM")


async def _each_table(catalog: Catalog, tenant: str, verb: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for table, owner in _tables():
        for row in await catalog.rows("parts_of_table", table):
            # The condition is the database's own, and names of tables and columns are in RULES.
            statement = (
                f"{verb} {table} WHERE ({owner} = $1 OR starts_with({owner}, $1 || '/')) "
                f"AND {row['part']}"
            )
            async with catalog.transaction() as connection:
                if verb.startswith("SELECT"):
                    count = int(await connection.fetchval(statement, tenant))
                else:
                    done = await connection.execute(statement, tenant)
                    count = int(done.rsplit(" ", 1)[1])
            if count:
                counts[table] = counts.get(table, 0) + count
    return counts


async def erase_tenant_personal(catalog: Catalog, tenant: str) -> int:
    """Destroy the keys of personal data in the tenant's audit log; return how many texts."""
    async with catalog.transaction() as connection:
        return await erase_chain_personal(connection, tenant)


async def end_tenant(
    catalog: Catalog,
    tenant: str,
    now_ms: int,
    report: dict[str, Any],
    *,
    complete: bool,
    origin: AuditOrigin = BY_SYSTEM,
) -> None:
    """Store the report of proof, and that nothing is left, if so."""
    async with catalog.transaction() as connection:
        await connection.execute(
            sql("end_erasure"), f"tenant:{tenant}", now_ms if complete else None, report
        )
        state = "complete" if complete else "incomplete"
        after = {"state": state, "erased": report["erased"], "left": report["left"]}
        await write_audit(connection, origin.entry(now_ms, "tenant:erase", tenant, after=after))


async def erased_tenants(catalog: Catalog) -> list[str]:
    """Return the tenants that were erased or are being erased."""
    return [row["tenant"] for row in await catalog.rows("erased_tenants")]


async def users_of(catalog: Catalog, tenant: str) -> list[str]:
    """Return the ids of the users who belong to a tenant."""
    return [row["id"] for row in await catalog.rows("users_within", tenant)]


@dataclass(frozen=True, slots=True)
class ErasedUser:
    """What the erasure of a user deleted."""

    id: str
    renamed: int
    """Rows that had his name as the one who did something, and have user:ID now."""
    audit_texts: int
    """Texts of the audit log that cannot be read any more."""


async def user_made_before(catalog: Catalog, user: str, at_ms: int) -> bool:
    """Return whether there is a user who was made before this time (UTC ms). StoreError."""
    return bool(await catalog.rows("user_made_before", user, at_ms))


async def erase_user(
    catalog: Catalog,
    login: str,
    now_ms: int,
    origin: AuditOrigin = BY_SYSTEM,
    *,
    exempt: str | None = None,
) -> ErasedUser:
    """Delete a user and his personal data, by login or id; ConfigError where there is none.

    Raises LastAdminError; `exempt`: see stores/catalog/users.py.

    What he did stays in the audit log under user:ID, and its chains verify. An erasure that was
    interrupted left everything or nothing.
    """
    async with catalog.transaction() as connection:
        row = await connection.fetchrow(sql("user_to_erase"), login)
        if row is None:
            raise ConfigError(f"There is no user {login!r}; `vigil user list` shows all.")
        subject, name = f"user:{row['id']}", row["display_name"]
        keys = await connection.fetch(sql("keys_of_user"), row["id"])
        principals = [subject, *(key["principal"] for key in keys)]
        renamed = int(await connection.fetchval(sql("erase_user_name"), name, subject, principals))
        await end_keys_of_user(connection, row["id"], now_ms)
        async with admin_remains(connection, exempt) as lost:
            await connection.execute(sql("erase_user"), row["id"])
        texts = await erase_subject(connection, subject)
        chain = tenant_of([row["scope"]])
        await connection.fetchval(sql("begin_erasure"), subject, chain, now_ms)
        report = {"erased": {"user": 1, "names": renamed, "audit_texts": texts}}
        await connection.execute(sql("end_erasure"), subject, now_ms, report)
        after = {**report["erased"], **({"last_admin_of": lost} if lost else {})}
        entry = origin.entry(now_ms, "user:erase", subject, tenant=chain, after=after)
        await write_audit(connection, entry)
    return ErasedUser(row["id"], renamed, texts)
