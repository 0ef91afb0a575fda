"""…/playlist.m3u8: HLS of any range up to now, or of what is being recorded."""

from aiohttp import web
from faust.web import View

from media.live import RunNumbers, live
from media.playlist import Segment, recorded
from stores.catalog import Catalog
from stores.catalog.playback import PlaybackSegment, playback_segments, runs_until
from web.chunks import fragment_path
from web.problems import bad_request, not_found
from web.query import DAY_MS, HOUR_MS, TimeRange, parse_flag, parse_time_range
from web.services import SERVICES, require_camera

MEDIA_TYPE = "application/vnd.apple.mpegurl"
LIVE_MS = HOUR_MS
"""How far back a live playlist reaches; an earlier `from` slides along."""
LIVE_START_MS = 60_000
AHEAD_MS = 60_000
"""Edges' clocks may be this much ahead of ours."""


class PlaylistView(View):
    """A playlist; its addresses are relative to its own."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/playlist.m3u8"

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the playlist; 404 where the range holds no footage."""
        here = request.app[SERVICES]
        now_ms = here.clock_ms()
        stretch, growing = _stretch(request, now_ms)
        found = await require_camera(request)
        catalog = await here.catalog.get()
        parts = await playback_segments(catalog, found.id, stretch.from_ms, stretch.to_ms)
        if not parts:
            raise not_found(
                f"{found.id} has no footage between {stretch.from_ms} and {stretch.to_ms}."
            )
        segments = [_segment(piece) for piece in parts]
        if growing:
            runs = await _runs(catalog, found.id, parts)
            text = live(segments, runs, now_ms, fragment_path)
        else:
            text = recorded(segments)
        response = web.Response(
            text=text, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"}
        )
        response.enable_compression()
        return response


def _stretch(request: web.Request, now_ms: int) -> tuple[TimeRange, bool]:
    """Return the range asked for, and whether it still grows."""
    if not parse_flag(request, "live"):
        stretch = parse_time_range(request, now_ms, longest_ms=DAY_MS)
        return stretch, stretch.to_ms > now_ms
    if "to" in request.query:
        raise bad_request("to: a live playlist has no end; leave `to` or `live` out.")
    until = now_ms + AHEAD_MS
    if "from" not in request.query:
        return TimeRange(now_ms - LIVE_START_MS, until), True
    given = parse_time_range(request, until, longest_ms=31 * DAY_MS)
    return TimeRange(max(given.from_ms, now_ms - LIVE_MS), until), True


def _segment(piece: PlaybackSegment) -> Segment:
    if piece.offset is None:
        uri, part = fragment_path(piece.run, piece.seq), None
    else:
        uri = f"chunks/{piece.run}/{piece.window_start_ms}/{piece.digest}.ts"
        part = (piece.size_bytes, piece.offset)
    return Segment(piece.run, piece.seq, piece.start_ms, piece.duration_ms, uri, part)


async def _runs(catalog: Catalog, camera: str, parts: list[PlaybackSegment]) -> list[RunNumbers]:
    reached = await runs_until(catalog, camera, max(piece.run for piece in parts))
    return [RunNumbers(each.run, each.last_seq, each.ended_ms) for each in reached]
