"""What another schema's catalog is given from the one in use, because no event tells of it.

Tenants to keys are people's decisions; tombstones and deletions are, until they were told to
Kafka, known to the catalog in use alone. What stands in use counts.
"""

from stores.catalog.pool import Catalog, Connection, lock_cameras, sql

COPIED_TABLES = (
    "tenants",
    "sites",
    "cameras",
    "api_keys",
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
    """Return the schema that this catalog's tables stand in, None where they are nowhere."""
    row = await catalog.row("schema_in_use")
    return None if row is None else row["schema"]


async def copy_decisions(catalog: Catalog, source: str) -> int:
    """Take over from schema `source` what no event tells; return how many rows changed."""
    async with catalog.transaction() as connection:
        changed = 0
        for table in COPIED_TABLES:
            changed += await _copy(connection, source, table)
        copied = await connection.execute(_from(sql("copy_tombstones"), source))
        await connection.execute(_from(sql("copy_turns"), source))
        return changed + _rows(copied)


async def _copy(connection: Connection, source: str, table: str) -> int:
    row = await connection.fetchrow(sql("copy_statement"), table, source)
    assert row is not None, table
    done = await connection.execute(row["copying"])
    if row["numbered"]:
        await connection.execute(row["numbering"])
    return _rows(done)


def _from(statement: str, source: str) -> str:
    return statement.replace(":source", f'"{source}"')


def _rows(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])


async def restore_deletion_marks(catalog: Catalog, camera: str, *, under_way_known: bool) -> None:
    """Let the rebuilt rows of a camera know again what retention deleted of its footage.

    That its fragments and older revisions went is only noted where the deletions under way are
    known: else retention looks once more, so that what still stands of them goes.
    """
    async with catalog.transaction() as connection:
        await lock_cameras(connection, "footage", [camera])
        if await connection.fetchval(sql("tombstones_any"), camera):
            await connection.execute(sql("retention_reach"), camera)
            if under_way_known:
                await connection.execute(sql("remember_joined"), camera)
                await connection.execute(sql("remember_older"), camera)
