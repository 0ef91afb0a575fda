"""Copy to another schema's catalog what no event contains, from the schema in use.

Cameras, keys, rules and holds are decisions of people. Tombstones and deletions are only in the
catalog in use until they are published to Kafka. Where both have a row, the schema in use wins.
"""

from stores.catalog.chunk_days import (
    advance_footage_start,
    chunk_day_ranges,
    delete_tombstoned_chunks,
)
from stores.catalog.pool import Catalog, Connection, lock_cameras, sql

COPIED_TABLES = (
    "tenants",
    "sites",
    "cameras",
    "api_keys",
    "ended_sessions",
    "api_key_grants",
    "idempotency_keys",
    "users",
    "user_grants",
    "groups",
    "group_members",
    "group_grants",
    "user_totp",
    "recovery_codes",
    "sessions",
    "device_cookies",
    "oidc_sessions",
    "oidc_used",
    "site_configs",
    "retention_rules",
    "legal_holds",
    "deletions",
    "detections_gone",
    "model_replays",
    "model_replay_chunks",
)
"""In an order that foreign keys allow."""


async def schema_in_use(catalog: Catalog) -> str | None:
    """Return the schema of this catalog's tables; None where there are none."""
    row = await catalog.row("schema_in_use")
    return None if row is None else row["schema"]


async def copy_decisions(catalog: Catalog, source: str) -> int:
    """Copy the rows that no event contains from schema `source`; return how many changed."""
    async with catalog.transaction() as connection:
        changed = 0
        for table in COPIED_TABLES:
            changed += await _copy(connection, source, table)
        copied = await connection.execute(_from(sql("copy_tombstones"), source), None, *NO_TIME)
        await connection.execute(_from(sql("copy_model_turns"), source))
    for row in await catalog.rows("cameras_with_tombstones"):
        await delete_tombstoned_chunks(catalog, row["camera"])
    return changed + _rows(copied)


async def _copy(connection: Connection, source: str, table: str) -> int:
    row = await connection.fetchrow(sql("copy_statement"), table, source)
    assert row is not None, table
    done = await connection.execute(row["copy_rows"])
    if row["has_sequence"]:
        await connection.execute(row["set_sequence"])
    return _rows(done)


NO_TIME = (1, 0)
"""The rows of chunks are deleted after the tombstones are copied, a few days at once."""


def _from(statement: str, source: str) -> str:
    return statement.replace(":source", f'"{source}"')


def _rows(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])


async def restore_deletion_marks(catalog: Catalog, camera: str, *, pending_known: bool) -> None:
    """Mark in a camera's rebuilt rows which objects retention deleted.

    Deleted fragments and older revisions are marked only where all pending deletions are known.
    Otherwise retention checks them again and deletes what still exists.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, "footage", [camera])
        if await connection.fetchval(sql("has_tombstones"), camera):
            await advance_footage_start(connection, camera)
        else:
            return
    if not pending_known:
        return
    for from_ms, to_ms in await chunk_day_ranges(catalog, camera):
        async with catalog.transaction() as connection:
            await lock_cameras(connection, "footage", [camera])
            await connection.execute(sql("restore_joined_gone"), camera, from_ms, to_ms)
            await connection.execute(sql("restore_older_gone"), camera, from_ms, to_ms)
