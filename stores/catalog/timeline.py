"""What there is at a glance: footage, why it is missing, what was seen."""

from dataclasses import dataclass
from typing import Any

from stores.catalog.intervals import TOLERANCE_MS, Interval
from stores.catalog.model_filter import CURRENT_MODELS, ModelFilter, resolve_filter
from stores.catalog.pool import Catalog

MINUTE_MS = 60_000
RAW_RANGE_MS = 6 * 3_600_000
"""Longer ranges are counted by minutes, which are few however many objects were seen."""


@dataclass(frozen=True, slots=True)
class FootageGap:
    """Missing time, [from, to) in UTC ms, and why."""

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
    """Most objects of a label seen in one picture within a bucket that starts at `at_ms`."""

    at_ms: int
    label: str
    count: int


async def covered(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[Interval]:
    """Return the intervals of [from, to) that have footage, holes below the tolerance closed."""
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
    """Return where the footage before a hole ends, `at_ms` being in the hole; None without any."""
    row = await catalog.row("footage_before", camera, at_ms)
    return None if row is None else row["end_ms"]


def bucket_length(from_ms: int, to_ms: int, buckets: int) -> int:
    """Return how long a bucket is (ms) so that at most about `buckets` make up the range.

    From a minute on they are whole minutes; a range above RAW_RANGE_MS has no shorter ones.
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
    """Return the buckets in which something was seen; they start at multiples of `bucket_ms`."""
    choice = await resolve_filter(catalog, camera, from_ms, to_ms, model_filter)
    asked = (camera, from_ms, to_ms, *choice.values, bucket_ms)
    if bucket_ms % MINUTE_MS == 0:
        cut = choice.cut_minutes(from_ms, to_ms)
        rows = await catalog.rows("detection_minute_buckets", *asked, cut)
    else:
        rows = await catalog.rows("detection_buckets", *asked)
    return [DetectionBucket(row["bucket_ms"], row["label"], row["count"]) for row in rows]


async def list_chunks(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int
) -> list[dict[str, Any]]:
    """Return the chunks that touch [from, to), by window and run, without their manifests."""
    rows = await catalog.rows("chunk_list", camera, from_ms, to_ms)
    return [dict(row) | {"run": str(row["run"])} for row in rows]


async def list_fragments(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int
) -> list[dict[str, Any]]:
    """Return the fragments of [from, to) that no chunk holds yet, by start."""
    rows = await catalog.rows("fragment_list", camera, from_ms, to_ms)
    return [dict(row) | {"run": str(row["run"])} for row in rows]
