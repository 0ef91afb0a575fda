"""How far replays came: a row for each unfinished one, beside the rows that it writes.

The bookmark stands in the schema that is written: whoever drops the schema drops it too, and
nobody can go on in the middle of what is no longer there.
"""

from typing import Any

from domain.times import utc_ms
from stores.catalog.pool import Catalog, Connection, sql


async def load_bookmark(catalog: Catalog, job: str) -> dict[str, Any] | None:
    """Return how far an unfinished replay came, None where none was begun."""
    row = await catalog.row("replay_load", job)
    return None if row is None else dict(row["state"])


async def save_bookmark(catalog: Catalog, job: str, state: dict[str, Any]) -> None:
    """Note how far a replay came."""
    async with catalog.transaction() as connection:
        await write_bookmark(connection, job, state)


async def write_bookmark(connection: Connection, job: str, state: dict[str, Any]) -> None:
    """Note it in the transaction in hand: it stands if and only if the rest does."""
    await connection.execute(sql("replay_save"), job, state, utc_ms())


async def delete_bookmark(catalog: Catalog, job: str) -> None:
    """Forget a replay that is done: the same one begins anew."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("replay_done"), job)
