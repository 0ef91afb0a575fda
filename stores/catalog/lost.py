"""Windows of which nothing could be joined: their fragments are no longer played."""

from collections.abc import Sequence

from domain.events import WindowLost
from domain.seqs import SeqRanges
from stores.catalog.intervals import multirange
from stores.catalog.pool import Catalog, lock_cameras, sql


async def index_lost(catalog: Catalog, events: Sequence[WindowLost], now_ms: int) -> int:
    """Remember what is lost, and remove its fragments' rows; return how many windows were new."""
    if not events:
        return 0
    rows = []
    for event in events:
        seqs = SeqRanges((gap.first_seq, gap.last_seq) for gap in event.gaps)
        rows.append(
            event.model_dump(mode="json")
            | {
                "first_seq": event.gaps[0].first_seq,
                "seqs": multirange((first, last + 1) for first, last in seqs.ranges),
            }
        )
    async with catalog.transaction() as connection:
        await lock_cameras(connection, "footage", (event.camera for event in events))
        return int(await connection.fetchval(sql("index_lost"), rows, now_ms))
