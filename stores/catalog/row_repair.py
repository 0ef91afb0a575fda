"""Delete single wrong rows. Everything else is repaired by indexing again (index.py)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from domain.consistency import RowId
from domain.identity import parse_chunk_key
from stores.catalog.pool import Catalog, Connection, lock_cameras, sql


@asynccontextmanager
async def lock_camera(catalog: Catalog, camera: str) -> AsyncIterator[Connection]:
    """Take the camera's footage lock: no index agent writes its rows during this."""
    async with catalog.transaction() as connection:
        await lock_cameras(connection, "footage", [camera])
        yield connection


async def delete_chunk_row(catalog: Catalog, camera: str, row: RowId) -> bool:
    """Delete a chunk's row if it is still this revision; return whether it was."""
    async with lock_camera(catalog, camera) as connection:
        done = await connection.execute(
            sql("delete_chunk_row"),
            *(camera, row.window_start_ms, UUID(row.run), row.revision, row.digest),
        )
        return bool(done == "DELETE 1")


async def delete_fragment_rows(
    catalog: Catalog, camera: str, run: str, seqs: Sequence[int]
) -> None:
    """Delete the rows of fragments."""
    async with lock_camera(catalog, camera) as connection:
        await connection.execute(sql("delete_fragment_rows"), camera, UUID(run), list(seqs))


async def referenced_keys(connection: Connection, camera: str, keys: Sequence[str]) -> set[str]:
    """Return the keys of chunk objects that rows reference. The caller holds the lock."""
    starts = [name.window_start_ms for key in keys if (name := parse_chunk_key(key)) is not None]
    if not starts:
        return set()
    rows = await connection.fetch(
        sql("referenced_keys"), camera, list(keys), min(starts), max(starts)
    )
    return {row["object_key"] for row in rows}
