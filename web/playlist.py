"""…/playlist.m3u8: an HLS playlist of a time range, or of the live edge."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from aiohttp import web
from faust.web import View

from domain.live_sections import LiveSection
from media.live import HEAD_MS, live
from media.playlist import Segment, recorded
from stores.catalog import Catalog
from stores.catalog.live_sections import live_sections_of
from stores.catalog.playback import PlaybackSegment, playback_rows, run_edges, segments_of
from stores.catalog.pool import Row
from web.chunks import fragment_path
from web.problems import bad_request, not_found
from web.query import DAY_MS, HOUR_MS, LONGEST_DAY_MS, TimeRange, parse_flag, parse_time_range
from web.services import SERVICES, require_camera

MEDIA_TYPE = "application/vnd.apple.mpegurl"
LIVE_MS = HOUR_MS
"""How far back a live playlist reaches. An earlier `from` is moved up to it."""
LIVE_START_MS = 60_000
AHEAD_MS = 360_000
"""A live list shows what a device's clock dates so far ahead. Five minutes are plausible."""
LONG_MS = 2 * HOUR_MS
_long_builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playlist")
"""A day's playlist takes seconds. One thread: more would only take the event loop's time."""


class PlaylistView(View):
    """A playlist; its URLs are relative to its own."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/playlist.m3u8"

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the playlist; 404 where the range has no footage."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        span, growing = _span(request, now_ms)
        camera = await require_camera(request)
        catalog = await services.catalog.get()
        reach = span.from_ms, span.to_ms, now_ms
        if span.to_ms - span.from_ms > LONG_MS:
            async with services.long_playlists:
                text = await _text(catalog, camera.id, reach, _long_builder, growing=growing)
        else:
            text = await _text(catalog, camera.id, reach, None, growing=growing)
        if text is None:
            raise not_found(f"{camera.id} has no footage between {span.from_ms} and {span.to_ms}.")
        response = web.Response(
            text=text, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
        )
        response.enable_compression()
        return response


async def _text(
    catalog: Catalog,
    camera: str,
    reach: tuple[int, int, int],
    builder: Executor | None,
    *,
    growing: bool,
) -> str | None:
    """Return the playlist of `reach` (from, to and now, UTC ms), made in a thread of `builder`."""
    from_ms, to_ms, now_ms = reach
    # A live list needs what came just before it, to know which number is first.
    rows = await playback_rows(catalog, camera, from_ms - HEAD_MS if growing else from_ms, to_ms)
    if not rows:
        return None
    loop = asyncio.get_running_loop()
    if growing:
        sections = await live_sections_of(catalog, camera)
        return await loop.run_in_executor(builder, _live, rows, sections, from_ms, now_ms)
    runs = {str(row["run"]) for row in rows}
    edges = await run_edges(catalog, camera, runs) if len(runs) > 1 else {}
    return await loop.run_in_executor(builder, _recorded, rows, edges)


def _span(request: web.Request, now_ms: int) -> tuple[TimeRange, bool]:
    """Return the requested range, and whether it still grows."""
    if not parse_flag(request, "live"):
        span = parse_time_range(request, now_ms, longest_ms=LONGEST_DAY_MS)
        return span, span.to_ms > now_ms
    if "to" in request.query:
        raise bad_request("to: a live playlist has no end. Omit `to` or `live`.")
    until = now_ms + AHEAD_MS
    if "from" not in request.query:
        return TimeRange(now_ms - LIVE_START_MS, until), True
    given = parse_time_range(request, until, longest_ms=31 * DAY_MS)
    return TimeRange(max(given.from_ms, now_ms - LIVE_MS), until), True


def _recorded(rows: Sequence[Row], edges: Mapping[str, str]) -> str:
    """Return the recorded playlist. Runs in a thread."""
    return recorded((_recorded_segment(each) for each in segments_of(rows)), edges)


def _live(
    rows: Sequence[Row], sections: Sequence[LiveSection], from_ms: int, now_ms: int
) -> str | None:
    """Return the live playlist; None where it would be empty. Runs in a thread."""
    segments = [_live_segment(each) for each in segments_of(rows)]
    return live(segments, sections, from_ms, now_ms, fragment_path)


def _recorded_segment(found: PlaybackSegment) -> Segment:
    """Return a segment with its byte range, of its chunk or of its own object."""
    if found.offset is None:
        uri, offset = fragment_path(found.run, found.seq), 0
    else:
        uri = f"chunks/{found.run}/{found.window_start_ms}/{found.digest}.ts"
        offset = found.offset
    return Segment(
        found.run, found.seq, found.start_ms, found.listed_ms, uri, (found.size_bytes, offset)
    )


def _live_segment(found: PlaybackSegment) -> Segment:
    """Return a segment under the address that it keeps when it moves into its chunk."""
    uri = fragment_path(found.run, found.seq)
    return Segment(found.run, found.seq, found.start_ms, found.listed_ms, uri)
