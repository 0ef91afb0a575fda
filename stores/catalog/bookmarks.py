"""Bookmarks of replays: the progress of each unfinished one, next to the rows that it writes.

The bookmark is in the schema that the replay writes. Dropping the schema drops it too, so a replay
cannot continue in the middle of data that no longer exists.
"""

from typing import Any

from domain.times import utc_ms
from stores.catalog.pool import Catalog, Connection, sql


async def load_bookmark(catalog: Catalog, job: str) -> dict[str, Any] | None:
    """Return the progress of an unfinished replay; None where there is none."""
    row = await catalog.row("load_bookmark", job)
    return None if row is None else dict(row["state"])


async def save_bookmark(catalog: Catalog, job: str, state: dict[str, Any]) -> None:
    """Save the progress of a replay."""
    async with catalog.transaction() as connection:
        await write_bookmark(connection, job, state)


async def write_bookmark(connection: Connection, job: str, state: dict[str, Any]) -> None:
    """Save it in the open transaction: it is committed if and only if the rest is."""
    await connection.execute(sql("save_bookmark"), job, state, utc_ms())


async def delete_bookmark(catalog: Catalog, job: str) -> None:
    """Delete the bookmark of a finished replay: the same replay starts at the beginning again."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("delete_bookmark"), job)
