"""Data of the timeline: footage, gaps with their reasons, counts of detections."""

from dataclasses import dataclass
from typing import Any

from stores.catalog.intervals import TOLERANCE_MS, Interval
from stores.catalog.model_filter import CURRENT_MODELS, ModelFilter, resolve_filter
from stores.catalog.pool import Catalog

MINUTE_MS = 60_000
RAW_RANGE_MS = 6 * 3_600_000
"""Longer ranges use the counts by minute: their number does not grow with the detections."""


@dataclass(frozen=True, slots=True)
class FootageGap:
    """Time without footage, [from, to) in UTC ms, and its reason."""

    from_ms: int
    to_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class EndedRun:
    """When (UTC ms) and why a run ended."""

    ended_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class DetectionBucket:
    """The most objects of a label in one frame, in a bucket that starts at `at_ms` (UTC ms)."""

    at_ms: int
    label: str
    count: int


async def covered(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[Interval]:
    """Return the intervals of [from, to) with footage; holes below the tolerance are closed."""
    rows = await catalog.rows("covered", camera, from_ms, to_ms, TOLERANCE_MS)
    return [(row["from_ms"], row["to_ms"]) for row in rows]


async def reported_gaps(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int
) -> list[FootageGap]:
    """Return the gaps that manifests report in [from, to), by start; they may overlap."""
    rows = await catalog.rows("reported_gaps", camera, from_ms, to_ms)
    return [FootageGap(row["from_ms"], row["to_ms"], row["reason"]) for row in rows]


async def run_ends(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[EndedRun]:
    """Return the ends of runs in [from, to), by time."""
    rows = await catalog.rows("run_ends", camera, from_ms, to_ms)
    return [EndedRun(row["ended_ms"], row["reason"]) for row in rows]


async def footage_before(catalog: Catalog, camera: str, at_ms: int) -> int | None:
    """Return when the footage before `at_ms`, which is in a gap, ends; None without any."""
    row = await catalog.row("footage_before", camera, at_ms)
    assert row is not None
    for day_ms in row["days"]:
        in_day = await catalog.row("footage_before_in_day", camera, at_ms, day_ms)
        if in_day is not None:
            return max(int(in_day["end_ms"]), row["end_ms"] or 0)
    end_ms: int | None = row["end_ms"]
    return end_ms


def bucket_length(from_ms: int, to_ms: int, buckets: int) -> int:
    """Return the length of a bucket (ms), so that about `buckets` at most cover the range.

    Lengths from one minute on are whole minutes. Ranges above RAW_RANGE_MS have no shorter ones.
    """
    length = max(1, -(-(to_ms - from_ms) // buckets))
    if length < MINUTE_MS and to_ms - from_ms <= RAW_RANGE_MS:
        return length
    return -(-length // MINUTE_MS) * MINUTE_MS


async def detection_buckets(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    bucket_ms: int,
    *,
    model_filter: ModelFilter = CURRENT_MODELS,
) -> list[DetectionBucket]:
    """Return the buckets with detections; they start at multiples of `bucket_ms`."""
    resolved = await resolve_filter(catalog, camera, from_ms, to_ms, model_filter)
    values = (camera, from_ms, to_ms, *resolved.values, bucket_ms)
    if bucket_ms % MINUTE_MS == 0:
        cut = resolved.changing_minutes(from_ms, to_ms)
        rows = await catalog.rows("detection_minute_buckets", *values, cut)
    else:
        rows = await catalog.rows("detection_buckets", *values)
    return [DetectionBucket(row["bucket_ms"], row["label"], row["count"]) for row in rows]


async def list_chunks(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    *,
    after: tuple[int, str] | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return the chunks that overlap [from, to), by window and run, without their manifests.

    `after`: window's start and run of the last one of the page before; `limit`: the most.
    """
    place = (None, None) if after is None else after
    rows = await catalog.rows("list_chunks", camera, from_ms, to_ms, *place, limit)
    return [dict(row) | {"run": str(row["run"])} for row in rows]


async def list_fragments(
    catalog: Catalog,
    camera: str,
    from_ms: int,
    to_ms: int,
    *,
    after: tuple[int, str, int] | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Return the fragments of [from, to) that no chunk holds yet, by start.

    `after`: start, run and seq of the last one of the page before; `limit`: the most.
    """
    place = (None, None, None) if after is None else after
    rows = await catalog.rows("list_fragments", camera, from_ms, to_ms, *place, limit)
    return [dict(row) | {"run": str(row["run"])} for row in rows]
