"""How much footage is kept, by site and by day, and how fast cameras record.

Triggers on chunks keep the table footage_days (migration 31), so nothing here reads chunks or S3.
Fragments that are in no chunk yet, a minute or two of each camera, are not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.cost.measured import CameraRecording
from domain.retention import DAY_MS, Margins
from stores.catalog.pool import Catalog
from stores.catalog.retention_rules import load_policy

RECENT_DAYS = 7
"""Whole UTC days, without today, that say how fast cameras record."""


@dataclass(frozen=True, slots=True)
class SiteStorage:
    """What the chunks of a site hold, bytes."""

    site: str
    size_bytes: int
    recent_bytes: int
    """Of the last `RECENT_DAYS` whole days, as far as it is kept."""
    cameras: int
    """With footage."""
    oldest_day_ms: int


@dataclass(frozen=True, slots=True)
class DayStorage:
    """What the chunks of a UTC day hold, bytes, as far as they are kept."""

    day_ms: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class WalArchive:
    """What PostgreSQL says of the archive of its WAL, which a restore to a time needs. UTC ms."""

    mode: str
    """`off`: it archives nothing."""
    archived_ms: int | None
    failed_ms: int | None


def recent_days(now_ms: int) -> tuple[int, int]:
    """Return the first of the recent days and the day after them (today), UTC ms."""
    today_ms = now_ms - now_ms % DAY_MS
    return today_ms - RECENT_DAYS * DAY_MS, today_ms


async def stored_by_site(catalog: Catalog, now_ms: int) -> list[SiteStorage]:
    """Return all sites with footage, the largest first. Raises StoreError."""
    rows = await catalog.rows("stored_by_site", *recent_days(now_ms))
    return [SiteStorage(**dict(row)) for row in rows]


async def stored_by_day(catalog: Catalog, from_ms: int) -> list[DayStorage]:
    """Return the days with footage since `from_ms`, oldest first. Raises StoreError."""
    return [DayStorage(**dict(row)) for row in await catalog.rows("stored_by_day", from_ms)]


async def recorded_of_cameras(catalog: Catalog, now_ms: int) -> Sequence[CameraRecording]:
    """Return all cameras in use, with what the recent days hold of each, and its retention rule.

    The day on which a camera's footage begins is left out: it is not a whole one.
    """
    policy = await load_policy(catalog, Margins(0, 0))  # of the rules alone
    found = []
    for row in await catalog.rows("recorded_of_cameras", *recent_days(now_ms)):
        rule = policy.rule_for(row["camera"])
        found.append(
            CameraRecording(
                camera=row["camera"],
                days=row["days"],
                size_bytes=row["size_bytes"] or 0,
                recorded_ms=row["recorded_ms"] or 0,
                fragments=row["fragments"] or 0,
                retention_days=None if rule is None else rule.days,
            )
        )
    return found


async def wal_archive(catalog: Catalog) -> WalArchive:
    """Return the state of PostgreSQL's archive of WAL. Raises StoreError."""
    row = await catalog.row("wal_archive")
    return WalArchive("off", None, None) if row is None else WalArchive(**dict(row))
