"""Where the bytes of a time range are stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.identity import chunk_key, fragment_key
from stores.catalog.intervals import TOLERANCE_MS
from stores.catalog.pool import Catalog, Row

LEAD_MS = 900_000
"""How far before a fragment the keyframe that it needs may be."""


@dataclass(frozen=True, slots=True)
class PlaybackSegment:
    """One fragment, on its own or in a chunk. Times: UTC ms."""

    run: str
    seq: int
    start_ms: int
    duration_ms: int
    size_bytes: int
    offset: int | None
    """Bytes from the start of its chunk; None while it is an object of its own."""
    window_start_ms: int | None
    digest: str | None
    independent: bool | None = None
    """Whether its first frame is a keyframe; None: unknown."""
    form: str | None = None
    """Its tracks, their codecs and its size: two of different forms need a discontinuity."""

    @property
    def listed_ms(self) -> int:
        """Length in a playlist: at least 1 ms. Some players stop at a segment of no length."""
        return max(1, self.duration_ms)


@dataclass(frozen=True, slots=True)
class ObjectRange:
    """A part of an object: `size_bytes` from `offset` on in the object `key`."""

    key: str
    offset: int
    size_bytes: int
    etag: str
    is_whole: bool
    """Whether it is the whole object."""


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A fragment to decode a frame from. keyframes: (pts, offset, size) or None."""

    run: str
    seq: int
    start_ms: int
    start_pts: int
    location: ObjectRange
    keyframes: list[tuple[int, int, int]] | None


async def playback_rows(catalog: Catalog, camera: str, from_ms: int, to_ms: int) -> list[Row]:
    """Return the rows of the fragments that overlap [from, to), for `segments_of`."""
    return await catalog.rows("playback_segments", camera, from_ms, to_ms)


def segments_of(rows: Sequence[Row]) -> list[PlaybackSegment]:
    """Return the fragments of rows by run and seq, each once. Slow: 86,400 rows take a second."""
    found: dict[tuple[str, int], PlaybackSegment] = {}
    for row in rows:
        run, seq, *rest = row.values()
        key = str(run), seq
        if key not in found or row["offset"] is not None:
            found[key] = PlaybackSegment(*key, *rest)
    return list(found.values())


async def playback_segments(
    catalog: Catalog, camera: str, from_ms: int, to_ms: int
) -> list[PlaybackSegment]:
    """Return the fragments that overlap [from, to), by run and seq, each once."""
    return segments_of(await playback_rows(catalog, camera, from_ms, to_ms))


async def lead_rows(catalog: Catalog, camera: str, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the fragments that a player needs before the first one of `rows`.

    None, if that begins with a keyframe. A camera with few keyframes has fragments without any.
    """
    first = min(rows, key=lambda row: (row["start_ms"], row["run"], row["seq"]), default=None)
    if first is None or first["independent"] is not False:
        return []
    start_ms = first["start_ms"]
    before = {
        row["seq"]: row
        for row in await playback_rows(catalog, camera, start_ms - LEAD_MS, start_ms)
        if row["run"] == first["run"]
    }
    lead: list[Row] = []
    for seq in range(first["seq"] - 1, -1, -1):
        row = before.get(seq)
        if row is None:
            return []
        lead.append(row)
        if row["independent"] is not False:
            break
    return lead


async def run_edges(catalog: Catalog, camera: str, runs: Iterable[str]) -> dict[str, str]:
    """Return by run which edge recorded it, where that is known."""
    rows = await catalog.rows("run_edges", camera, [UUID(run) for run in runs])
    return {str(row["run"]): row["edge"] for row in rows}


async def locate_fragment(catalog: Catalog, camera: str, run: str, seq: int) -> ObjectRange | None:
    """Return where a fragment's bytes are: its own object, or a part of a chunk."""
    rows = await catalog.rows("locate_fragment", camera, UUID(run), seq)
    for row in rows:
        if row["day_ms"] is None:
            key = fragment_key(camera, run, seq)
            return ObjectRange(key, 0, row["size_bytes"], row["sha256"], True)
    for row in rows:
        found = await catalog.row("locate_in_chunk", camera, UUID(run), seq, row["day_ms"])
        if found is not None:
            return ObjectRange(
                found["object_key"], found["offset"], found["size_bytes"], found["sha256"], False
            )
    return None


async def locate_chunk(
    catalog: Catalog, camera: str, run: str, window_start_ms: int, digest: str
) -> ObjectRange | None:
    """Return where a chunk's bytes are.

    A chunk that was replaced keeps its address until its object is deleted. Its size is -1 then:
    unknown.
    """
    row = await catalog.row("locate_chunk", camera, UUID(run), window_start_ms, digest)
    if row is None:
        return None
    if row["digest"] == digest:
        return ObjectRange(row["object_key"], 0, row["size_bytes"], digest, True)
    key = chunk_key(camera, run, window_start_ms, row["window_ms"], digest)
    return ObjectRange(key, 0, -1, digest, True)


async def frame_at(catalog: Catalog, camera: str, at_ms: int) -> FrameSource | None:
    """Return the fragment that shows `at_ms`, or None where there is no footage."""
    row = await catalog.row("frame_at", camera, at_ms, TOLERANCE_MS)
    if row is None:
        return None
    if row["keyframes"] == []:  # it needs a keyframe of an earlier fragment
        start_ms = row["start_ms"]
        earlier = (row["run"], row["seq"], start_ms - LEAD_MS, start_ms)
        row = await catalog.row("keyframe_before", camera, *earlier) or row
    run = str(row["run"])
    key = row["object_key"] or fragment_key(camera, run, row["seq"])
    alone = row["object_key"] is None
    location = ObjectRange(key, row["offset"], row["size_bytes"], "", alone)
    given: list[dict[str, Any]] = row["keyframes"] or []
    keyframes = [(each["pts"], each["offset"], each["size"]) for each in given] or None
    return FrameSource(run, row["seq"], row["start_ms"], row["start_pts"], location, keyframes)
