"""The newest detections as events, in the order in which they were committed. Streams read them.

index agent   writes them in the transaction of their rows: only what is new, exactly once
web           reads what is after a position; a position is valid in every web worker
trim          deletes what is older than KEPT_MS, and notes how far

A transaction's number is given at its start, so a later one may commit before it. Only events
before the oldest transaction in progress are read: nothing appears behind a reader.

The tables are unlogged: after a crash of PostgreSQL they are empty. Then the epoch is a new one,
and readers learn that events were lost.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from stores.catalog.pool import Catalog, sql

KEPT_MS = 15 * 60_000
MAX_ROWS = 500_000
TRIM_ROWS = 100_000
"""Most rows that one call of trim deletes."""
_POSITION = re.compile(r"1-([0-9a-f]{8})-([0-9]{1,18})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the order of events. str() is what clients send back."""

    epoch: str
    xid: int
    id: int

    def __str__(self) -> str:
        return f"1-{self.epoch}-{self.xid}-{self.id}"


def parse_position(text: str) -> Position | None:
    """Return the position that a client sends; None where it is not one."""
    found = _POSITION.fullmatch(text)
    return None if found is None else Position(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event: detections of one run and model. `text` is JSON."""

    position: Position
    camera: str
    text: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """What is after a position."""

    events: Sequence[LiveEvent]
    start: Position
    """All events after it are known: the position asked for, or a later one where some are lost."""
    end: Position
    """Where the next page begins."""
    lost: bool
    """Whether events after the position are not kept any more."""


async def read_events(
    catalog: Catalog, after: Position | None, limit: int, scopes: Sequence[str] | None = None
) -> EventPage:
    """Return the events after a position, at most `limit`; None: only where the newest ends.

    `scopes`: only cameras below them; None: all.
    """
    xid, number = ("0", 0) if after is None else (str(after.xid), after.id)
    rows = await catalog.rows(
        "read_live_events", xid, number, 0 if after is None else limit, _without_all(scopes)
    )
    first = rows[0]
    if first["epoch"] is None:
        await open_epoch(catalog)
        return await read_events(catalog, after, limit, scopes)
    epoch, horizon = first["epoch"], int(first["horizon"])
    floor = Position(epoch, int(first["floor_xid"]), first["floor_id"])
    if after is not None and (after.epoch != epoch or after.xid > horizon):
        end = Position(epoch, horizon, 0)
        return EventPage([], end, end, lost=True)
    events = [
        LiveEvent(Position(epoch, int(row["xid"]), row["id"]), row["camera"], row["event"])
        for row in rows
        if row["xid"] is not None
    ]
    is_full = after is not None and len(events) >= limit
    end = events[-1].position if is_full else Position(epoch, horizon, 0)
    lost = after is not None and after < floor
    return EventPage(events, floor if after is None or lost else after, end, lost)


def _without_all(scopes: Sequence[str] | None) -> list[str] | None:
    return None if scopes is None or "*" in scopes else list(scopes)


async def open_epoch(catalog: Catalog) -> None:
    """Name the epoch where it has no name yet."""
    async with catalog.transaction() as connection:
        await connection.execute(sql("open_live_epoch"), secrets.token_hex(4))


async def trim_events(catalog: Catalog, now_ms: int) -> int:
    """Delete events that are too old or too many; return how many. Another worker's turn: 0."""
    await open_epoch(catalog)
    async with catalog.transaction() as connection:
        if not await connection.fetchval(sql("lock_live_epoch")):
            return 0
        return int(
            await connection.fetchval(
                sql("trim_live_events"), now_ms - KEPT_MS, TRIM_ROWS, MAX_ROWS
            )
        )
