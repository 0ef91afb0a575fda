"""Drop the empty partitions of past days.

A partition that is needed again is created again (Catalog.write_days).
"""

import re
from datetime import UTC, datetime

from domain.errors import StoreError
from stores.catalog.pool import Catalog, sql

_PART = re.compile(r"(chunks|detections|detection_minutes)_\d{8}")
LOCK_TIMEOUT_MS = 2_000
"""Dropping a partition waits at most this long for its lock. The next call tries again."""


async def drop_empty_partitions(catalog: Catalog, before_ms: int) -> int:
    """Drop the empty partitions of days before `before_ms` (UTC); return how many were dropped.

    Stops where a table is locked for long; the next call drops the rest.
    """
    day = datetime.fromtimestamp(before_ms / 1000, UTC).strftime("%Y%m%d")
    dropped = 0
    for row in await catalog.rows("partitions_before", day):
        try:
            dropped += await _drop(catalog, row["whole"], row["part"])
        except StoreError:
            return dropped
    return dropped


async def fill_chunk_days(catalog: Catalog) -> None:
    """Add the days of chunks that an older version wrote. Each partition has its transaction."""
    for row in await catalog.rows("chunk_days_to_fill"):
        if _PART.fullmatch(row["part"]):
            async with catalog.transaction() as connection:
                await connection.execute(sql("fill_chunk_day").replace(":part", row["part"]))


async def fill_footage_days(catalog: Catalog) -> None:
    """Count the chunks of partitions of before the table footage_days, each in its transaction.

    A partition's writers wait while it is counted: their triggers then add to what was counted.
    """
    for row in await catalog.rows("footage_days_to_fill"):
        part = row["part"]
        async with catalog.transaction() as connection:
            if _PART.fullmatch(part) and await connection.fetchval(
                "SELECT to_regclass($1) IS NOT NULL", part
            ):
                await connection.execute(f"LOCK TABLE ONLY {part} IN SHARE MODE")
                await connection.execute(sql("fill_footage_days").replace(":part", part))
            await connection.execute(sql("footage_days_filled"), part)


async def _drop(catalog: Catalog, whole: str, part: str) -> bool:
    async with catalog.transaction() as connection:
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        if not await connection.fetchval("SELECT drop_empty_day($1, $2)", whole, part):
            return False
        if whole == "chunks":
            await connection.execute(sql("delete_chunk_days"), part.rsplit("_", 1)[1])
        return True
