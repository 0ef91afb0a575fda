"""Listings of the bucket as streams: by camera, by day, by run."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from domain.identity import (
    chunk_day_prefix,
    parse_chunk_key,
    parse_fragment_key,
    run_end_key,
    run_prefix,
)
from stores.object_info import ObjectInfo
from stores.objects import ObjectStore

DAY_MS = 86_400_000


async def cameras(store: ObjectStore) -> AsyncIterator[str]:
    """Yield the cameras that have objects: one request for each tenant and site."""
    seen: set[str] = set()
    for kind in ("fragments/", "chunks/"):
        async for tenant in store.folders(kind):
            async for site in store.folders(tenant):
                async for camera in store.folders(site):
                    if (name := camera.removeprefix(kind).rstrip("/")) not in seen:
                        seen.add(name)
                        yield name


async def chunk_days(store: ObjectStore, camera: str, from_ms: int, to_ms: int) -> list[int]:
    """Return the UTC days (start, ms) in [from, to) with chunks: one request for each month."""
    days = []
    async for year in store.folders(f"chunks/{camera}/"):
        async for month in store.folders(year):
            async for day in store.folders(month):
                try:
                    at = datetime.strptime(day[-11:], "%Y/%m/%d/").replace(tzinfo=UTC)
                except ValueError:
                    continue
                days.append(round(at.timestamp()) * 1000)
    return [day for day in days if day + DAY_MS > from_ms and day < to_ms]


async def objects_by_window(
    store: ObjectStore, camera: str, day_ms: int
) -> AsyncIterator[list[ObjectInfo]]:
    """Yield the chunk objects of a day, grouped by window start, all runs together, in order."""
    prefix = chunk_day_prefix(camera, day_ms)
    group: list[ObjectInfo] = []
    async for info in store.list(prefix):
        if group and not _same_start(group[0].key, info.key, len(prefix)):
            yield group
            group = []
        group.append(info)
    if group:
        yield group


def _same_start(left: str, right: str, at: int) -> bool:
    return left[at : at + 6] == right[at : at + 6]


async def objects_of_window(
    store: ObjectStore, camera: str, run: str, window_start_ms: int
) -> AsyncIterator[ObjectInfo]:
    """Yield the objects of a run's window, of any length."""
    day = chunk_day_prefix(camera, window_start_ms)
    clock = datetime.fromtimestamp(window_start_ms // 1000, UTC).strftime("%H%M%S")
    async for info in store.list(f"{day}{clock}Z-"):
        name = parse_chunk_key(info.key)
        if name is not None and name.run == run:
            yield info


async def runs(store: ObjectStore, camera: str) -> AsyncIterator[str]:
    """Yield the runs with fragment objects, oldest first: one request for each 1,000."""
    async for folder in store.folders(f"fragments/{camera}/"):
        yield folder.rstrip("/").rsplit("/", 1)[1]


async def fragments(
    store: ObjectStore, camera: str, run: str, after: str = ""
) -> AsyncIterator[tuple[int | None, ObjectInfo]]:
    """Yield a run's objects in order, each with its seq; None where it is not a fragment."""
    async for info in store.list(run_prefix(camera, run), after):
        name = parse_fragment_key(info.key)
        yield (name.seq if name is not None else None), info


def is_run_end(camera: str, run: str, key: str) -> bool:
    """Return whether a key is that of the run's end."""
    return key == run_end_key(camera, run)
