"""What the status says of footage, queues and backups: of the catalog and Prometheus alone.

Nothing here asks S3, SQS or AWS: what no program of ours measures is null, and the page says so.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from domain.errors import StoreError
from domain.retention import DAY_MS
from stores.catalog.footage_days import (
    RECENT_DAYS,
    stored_by_day,
    stored_by_site,
    wal_archive,
)
from streams.settings import Settings
from web.prometheus import Sample
from web.schemas.status import (
    BackupStatus,
    DayBytes,
    QueueStatus,
    SiteBytes,
    StorageStatus,
)
from web.services import Services

SHOWN_DAYS = 31
SHOWN_SITES = 100
_KEY = "storage"

log = logging.getLogger(__name__)


async def storage(services: Services, deleted: list[Sample]) -> StorageStatus | None:
    """Return what the catalog says of the footage; None where it does not answer.

    It is read once a minute. `deleted`: bytes a day, by Prometheus.
    """
    known = services.storage_status.get(_KEY)
    if known is None:
        now_ms = services.clock_ms()
        try:
            catalog = await services.catalog.get()
            sites = await stored_by_site(catalog, now_ms)
            days = await stored_by_day(catalog, now_ms - now_ms % DAY_MS - SHOWN_DAYS * DAY_MS)
        except StoreError as error:
            log.warning("how much footage there is is unknown: %s", error)
            return None
        known = services.storage_status[_KEY] = StorageStatus(
            size_bytes=sum(each.size_bytes for each in sites),
            added_bytes=round(sum(each.recent_bytes for each in sites) / RECENT_DAYS),
            deleted_bytes=None,
            site_count=len(sites),
            sites=[
                SiteBytes(
                    site=each.site,
                    cameras=each.cameras,
                    size_bytes=each.size_bytes,
                    added_bytes=round(each.recent_bytes / RECENT_DAYS),
                    oldest_ms=each.oldest_day_ms,
                )
                for each in sites[:SHOWN_SITES]
            ],
            days=[DayBytes(day_ms=each.day_ms, size_bytes=each.size_bytes) for each in days],
        )
    return known.model_copy(
        update={"deleted_bytes": max(0, round(deleted[0].value)) if deleted else None}
    )


def queues(samples: list[Sample]) -> list[QueueStatus]:
    """Return the queues; numbers that the relay does not measure are null."""
    found: Mapping[tuple[str | None, str | None], int] = {
        (each.labels.get("queue"), each.labels.get("state")): max(0, round(each.value))
        for each in samples
    }
    return [
        QueueStatus(
            queue=name,
            visible=found.get((name, "visible")),
            in_flight=found.get((name, "in-flight")),
        )
        for name in ("events", "dead-letter")
    ]


async def backups(services: Services) -> BackupStatus:
    """Return what is known of the database's backups: by PostgreSQL and by the settings."""
    settings = services.settings
    made = BackupStatus(
        archive="unknown",
        archived_ms=None,
        failed_ms=None,
        window_days=settings.backup_days or None,
        drill_ms=_drill_ms(settings),
    )
    try:
        archive = await wal_archive(await services.catalog.get())
    except StoreError as error:
        log.warning("the state of the WAL's archive is unknown: %s", error)
        return made
    failed_ms = archive.failed_ms
    if failed_ms is not None and (archive.archived_ms or 0) > failed_ms:
        failed_ms = None  # it succeeded since
    return made.model_copy(
        update={
            "archive": "off" if archive.mode == "off" else "on",
            "archived_ms": archive.archived_ms,
            "failed_ms": failed_ms,
        }
    )


def _drill_ms(settings: Settings) -> int | None:
    if (day := settings.restore_drill_date) is None:
        return None
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000)
