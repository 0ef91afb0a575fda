"""…/playlist.m3u8: an HLS playlist of a time range, or of the live edge."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from types import MappingProxyType

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.live_sections import LiveSection
from domain.times import utc_ms
from media.live import HEAD_MS, live
from media.playlist import RecordedPlaylist, Segment
from stores.catalog import Catalog
from stores.catalog.live_sections import live_sections_of
from stores.catalog.playback import (
    PlaybackSegment,
    lead_rows,
    playback_rows,
    run_edges,
    segments_of,
)
from stores.catalog.pool import Row
from streams import tracing
from web.access import on_camera
from web.bodies import parse_query
from web.chunks import fragment_path, gap_path
from web.operations import MediaBody, Operation, describe
from web.problems import bad_request, not_found
from web.query import DAY_MS, HOUR_MS, INVALID, LONGEST_DAY_MS, TimeRange, time_range
from web.schemas.footage import PlaylistQuery
from web.services import SERVICES, require_camera

MEDIA_TYPE = "application/vnd.apple.mpegurl"
HEADERS = MappingProxyType({"Cache-Control": "no-store"})
LIVE_MS = HOUR_MS
"""How far back a live playlist reaches. An earlier `from` is moved up to it."""
LIVE_START_MS = 60_000
AHEAD_MS = 360_000
"""A live list shows what a device's clock dates so far ahead. Five minutes are plausible."""
SLICE_MS = HOUR_MS // 4
"""A list is made in slices: rows of an hour at once keep the event loop from other requests."""
LONG_MS = HOUR_MS
"""Of longer lists, few are made at the same time."""
_long_builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playlist")
"""A day's playlist takes seconds. One thread: more would only take the event loop's time."""


class PlaylistView(View):
    """A playlist; its URLs are relative to its own."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/playlist.m3u8"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "Get an HLS playlist",
            description="Of a range of at most 25 hours, or of the live edge.",
            query=PlaylistQuery,
            answer=MediaBody(MEDIA_TYPE, "The playlist; its URLs are relative.", is_text=True),
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.StreamResponse:
        """Return the playlist; 404 where the range has no footage."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        span, growing = _span(request, now_ms)
        camera = await require_camera(request)
        catalog = await services.catalog.get()
        if growing:
            body = await _live_body(catalog, camera.id, span, now_ms)
        elif span.to_ms - span.from_ms <= LONG_MS:
            playlist = await _recorded(catalog, camera.id, span, None)
            body = None if playlist is None else await asyncio.to_thread(playlist.encode)
        else:
            async with services.long_playlists:
                playlist = await _recorded(catalog, camera.id, span, _long_builder)
            if playlist is not None:
                return await _send_pieces(request, playlist)
            body = None
        if body is None:
            raise not_found(f"{camera.id} has no footage between {span.from_ms} and {span.to_ms}.")
        return web.Response(
            body=body, content_type=MEDIA_TYPE, charset="utf-8", headers=dict(HEADERS)
        )


async def _send_pieces(request: web.Request, playlist: RecordedPlaylist) -> web.StreamResponse:
    """Send a long playlist piece by piece: as a whole it takes many megabytes."""
    response = web.StreamResponse(headers=HEADERS)
    response.content_type = MEDIA_TYPE
    response.charset = "utf-8"
    response.content_length = playlist.size_bytes
    response.enable_compression()
    await response.prepare(request)
    if request.method != "HEAD":
        for piece in playlist.parts():
            await response.write(piece)
    await response.write_eof()
    return response


async def _live_body(catalog: Catalog, camera: str, span: TimeRange, now_ms: int) -> bytes | None:
    """Return a live playlist; None where it has no segment."""
    # What came just before it shows which number is first.
    rows = await playback_rows(catalog, camera, span.from_ms - HEAD_MS, span.to_ms)
    sections = await live_sections_of(catalog, camera)
    return await asyncio.to_thread(_live, rows, sections, span.from_ms, now_ms)


async def _recorded(
    catalog: Catalog, camera: str, span: TimeRange, builder: Executor | None
) -> RecordedPlaylist | None:
    """Return a recorded playlist, made slice by slice in a thread of `builder`.

    Returns None where it has no segment.
    """
    loop = asyncio.get_running_loop()
    playlist = RecordedPlaylist()
    edges: dict[str, str] = {}
    known: set[str] = set()
    for from_ms in range(span.from_ms, span.to_ms, SLICE_MS):
        to_ms = min(from_ms + SLICE_MS, span.to_ms)
        rows = await playback_rows(catalog, camera, from_ms, to_ms)
        if from_ms == span.from_ms:
            rows += await lead_rows(catalog, camera, rows)
        runs = {str(run) for run in {row["run"] for row in rows}} - known
        known |= runs
        if runs and len(known) > 1:
            edges |= await run_edges(catalog, camera, known)
        # A segment is in the slice in which it starts, or in the first.
        since_ms = from_ms if from_ms > span.from_ms else 0
        await loop.run_in_executor(builder, _add, playlist, rows, since_ms, edges)
    return None if playlist.is_empty else playlist


def _span(request: web.Request, now_ms: int) -> tuple[TimeRange, bool]:
    """Return the requested range, and whether it still grows."""
    query = parse_query(request, PlaylistQuery)
    if not query.live:
        if query.from_ is None:
            raise bad_request("from: missing.", INVALID)
        until = now_ms if query.to is None else query.to
        span = time_range(query.from_, until, LONGEST_DAY_MS)
        return span, span.to_ms > now_ms
    if query.to is not None:
        raise bad_request("to: a live playlist has no end. Omit `to` or `live`.", INVALID)
    until = now_ms + AHEAD_MS
    if query.from_ is None:
        return TimeRange(now_ms - LIVE_START_MS, until), True
    given = time_range(query.from_, until, 31 * DAY_MS)
    return TimeRange(max(given.from_ms, now_ms - LIVE_MS), until), True


def _add(
    playlist: RecordedPlaylist, rows: Sequence[Row], since_ms: int, edges: Mapping[str, str]
) -> None:
    """Add the fragments that start at `since_ms` or later. Runs in a thread."""
    started_ms = utc_ms()
    found = segments_of(rows)
    if tracing.tracer is not None:
        tracing.tracer.add_played("playlist", [(each.run, each.seq) for each in found], started_ms)
    playlist.add((_recorded_segment(each) for each in found if each.start_ms >= since_ms), edges)


def _live(
    rows: Sequence[Row], sections: Sequence[LiveSection], from_ms: int, now_ms: int
) -> bytes | None:
    """Return the live playlist; None where it would be empty. Runs in a thread."""
    started_ms = utc_ms()
    segments = [_live_segment(each) for each in segments_of(rows)]
    if tracing.tracer is not None:
        names = [(each.run, each.seq) for each in segments]
        tracing.tracer.add_played("playlist", names, started_ms)
    text = live(segments, sections, from_ms, now_ms, gap_path)
    return None if text is None else text.encode()


def _recorded_segment(found: PlaybackSegment) -> Segment:
    """Return a segment with its byte range, of its chunk or of its own object."""
    if found.offset is None:
        uri, offset = fragment_path(found.run, found.seq), 0
    else:
        uri = f"chunks/{found.run}/{found.window_start_ms}/{found.digest}.ts"
        offset = found.offset
    return Segment(
        found.run,
        found.seq,
        found.start_ms,
        found.listed_ms,
        uri,
        (found.size_bytes, offset),
        independent=found.independent is True,
        form=found.form,
    )


def _live_segment(found: PlaybackSegment) -> Segment:
    """Return a segment under the address that it keeps when it moves into its chunk."""
    uri = fragment_path(found.run, found.seq)
    return Segment(found.run, found.seq, found.start_ms, found.listed_ms, uri)
