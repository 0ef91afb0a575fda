"""…/fragments and …/chunks: the media segments of playlists."""

import re

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.errors import ObjectMissingError
from domain.times import utc_ms
from stores.catalog.playback import ObjectRange, locate_chunk, locate_fragment
from streams import tracing
from web.access import on_camera
from web.bodies import parse_query
from web.object_response import MEDIA_TYPE, object_operation, send_object
from web.operations import describe
from web.problems import not_found
from web.query import MAX_MS, parse_camera_id, parse_path_number, parse_run_id
from web.schemas.footage import SegmentQuery
from web.services import SERVICES

EMPTY_SEGMENT = bytes([0x47, 0x1F, 0xFF, 0x10]) + b"\xff" * 184
"""A null packet (ISO/IEC 13818-1, 2.4.3.3): a transport stream in which nothing is shown."""


class FragmentView(View):
    """One fragment. Its URL stays valid when it has moved into a chunk."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/fragments/{run}/{seq}.ts"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=object_operation("Get a fragment's bytes", "Its address stays valid.", SegmentQuery)
    )

    async def get(self, request: web.Request, **path: str) -> web.StreamResponse:
        """Return the fragment's bytes; with `gap`, an empty segment while it is missing."""
        camera, run, seq = (
            parse_camera_id(path),
            parse_run_id(path["run"]),
            parse_path_number(path["seq"]),
        )
        started_ms = utc_ms()
        is_gap = parse_query(request, SegmentQuery).gap
        location = await self._locate(request, camera, run, seq)
        if location is None and is_gap:
            return _empty_segment()
        if location is None:
            raise not_found(f"There is no fragment {seq} of run {run} of {camera}.")
        try:
            response = await send_object(request, location)
            if tracing.tracer is not None:
                tracing.tracer.add_played("media", [(run, seq)], started_ms)
            return response
        except ObjectMissingError:
            # Its chunk has just replaced it.
            moved = await self._locate(request, camera, run, seq)
            if moved is None or moved == location:
                raise
            return await send_object(request, moved)

    async def _locate(
        self, request: web.Request, camera: str, run: str, seq: int
    ) -> ObjectRange | None:
        catalog = await request.app[SERVICES].catalog.get()
        return await locate_fragment(catalog, camera, run, seq)


class ChunkView(View):
    """One chunk, by the digest of its content."""

    view_path = (
        "/api/v1/cameras/{tenant}/{site}/{camera}/chunks/{run}/{window_start_ms}/{digest}.ts"
    )
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(get=object_operation("Get a chunk's bytes", "They never change."))

    async def get(self, request: web.Request, **path: str) -> web.StreamResponse:
        """Return the chunk's bytes, or a range of them."""
        camera, run, digest = parse_camera_id(path), parse_run_id(path["run"]), path["digest"]
        window = parse_path_number(path["window_start_ms"], MAX_MS)
        location = None
        if re.fullmatch(r"[0-9a-f]{32}", digest):
            catalog = await request.app[SERVICES].catalog.get()
            location = await locate_chunk(catalog, camera, run, window, digest)
        if location is None:
            raise not_found(f"There is no such chunk of {camera}.")
        return await send_object(request, location)


def _empty_segment() -> web.Response:
    """Return a segment for a gap: VLC and GStreamer request it, and end where it is a 404."""
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=EMPTY_SEGMENT, content_type=MEDIA_TYPE, headers=headers)
