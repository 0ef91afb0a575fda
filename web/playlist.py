"""…/playlist.m3u8: an HLS playlist of a time range, or of the live edge."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web
from faust.web import View

from media.live import RunNumbers, live
from media.playlist import Segment, recorded
from stores.catalog import Catalog
from stores.catalog.playback import PlaybackSegment, playback_rows, runs_until, segments_of
from stores.catalog.pool import Row
from web.chunks import fragment_path
from web.problems import bad_request, not_found
from web.query import DAY_MS, HOUR_MS, LONGEST_DAY_MS, TimeRange, parse_flag, parse_time_range
from web.services import SERVICES, require_camera

MEDIA_TYPE = "application/vnd.apple.mpegurl"
LIVE_MS = HOUR_MS
"""How far back a live playlist reaches. An earlier `from` is moved up to it."""
LIVE_START_MS = 60_000
AHEAD_MS = 60_000
"""How far an edge's clock may be ahead of ours."""
_builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playlist")
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
        async with services.playlists:
            rows = await playback_rows(catalog, camera.id, span.from_ms, span.to_ms)
            if not rows:
                raise not_found(
                    f"{camera.id} has no footage between {span.from_ms} and {span.to_ms}."
                )
            if growing:
                found = segments_of(rows)
                runs = await _runs(catalog, camera.id, found)
                text = live([_live_segment(each) for each in found], runs, now_ms, fragment_path)
            else:
                loop = asyncio.get_running_loop()
                text = await loop.run_in_executor(_builder, _recorded, rows)
        response = web.Response(
            text=text, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
        )
        response.enable_compression()
        return response


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


def _recorded(rows: Sequence[Row]) -> str:
    """Return the recorded playlist. Runs in a thread."""
    return recorded(_recorded_segment(each) for each in segments_of(rows))


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


async def _runs(catalog: Catalog, camera: str, found: list[PlaybackSegment]) -> list[RunNumbers]:
    runs = await runs_until(catalog, camera, max(each.run for each in found))
    return [RunNumbers(each.run, each.last_seq, each.ended_ms) for each in runs]
