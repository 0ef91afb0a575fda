"""…/thumbnail.jpg: the frame at any time, in any width."""

import asyncio
import contextlib
from dataclasses import dataclass

from aiohttp import web
from faust.web import View
from prometheus_client import Counter

from domain.access import Permission
from domain.errors import MediaError, ObjectMissingError
from media.thumbnail import ByteRanges, assemble, ranges_for
from stores.catalog.playback import FrameSource, frame_at
from stores.catalog.web_catalog import visible_now
from streams.metrics import REGISTRY
from web.access import on_camera
from web.bodies import parse_query
from web.middleware import PRINCIPAL
from web.object_response import matches
from web.operations import MediaBody, Operation, describe
from web.problems import not_found
from web.schemas.footage import ThumbnailQuery
from web.services import SERVICES, Services, require_camera

IMMUTABLE_AFTER_MS = 120_000
"""Frames older than this never change, so clients may cache them."""

RENDERED = Counter(
    "vigil_thumbnails", "Thumbnails answered. from: memory, store", ("source",), registry=REGISTRY
)
MAX_READ_BYTES = 8 << 20
"""Bytes that are read for one picture. The first picture is in the first of them."""


class ThumbnailView(View):
    """The last keyframe at or before a time, as JPEG."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/thumbnail.jpg"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "Get the frame at a time as JPEG",
            description="The last keyframe at or before `at`.",
            query=ThumbnailQuery,
            answer=MediaBody("image/jpeg", "The frame."),
            others={304: "`If-None-Match` names this frame."},
            headers={"If-None-Match": "The `ETag` of the frame that the client has."},
            answer_headers={
                "ETag": "Names this frame in this width.",
                "Vigil-Picture-Ms": "Time of the frame, UTC ms.",
            },
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the frame at `at`, without `at` the newest one; 404 where there is none."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        query = parse_query(request, ThumbnailQuery)
        width, at_ms = query.width, query.at
        found = await require_camera(request)
        if found.last_ms is None:
            raise not_found(f"{found.id} has no footage yet.")
        wanted_ms = found.last_ms if at_ms is None else at_ms
        frame = await frame_name(services, found.id, wanted_ms, width)
        is_immutable = at_ms is not None and at_ms < now_ms - IMMUTABLE_AFTER_MS
        headers = {
            "ETag": f'"{frame.name}"',
            "Cache-Control": "private, max-age=86400" if is_immutable else "private, no-cache",
            "Vigil-Picture-Ms": str(frame.shown_ms),
        }
        if matches(request.headers.get("If-None-Match", ""), f'"{frame.name}"'):
            return web.Response(status=304, headers=headers)
        data = await frame_jpeg(request, found.id, frame)
        return web.Response(body=data, content_type="image/jpeg", headers=headers)


@dataclass(frozen=True, slots=True)
class FrameName:
    """A frame in one width, before it is rendered. Times: UTC ms."""

    name: str
    """The same frame in the same width has the same name."""
    wanted_ms: int
    shown_ms: int
    """When it was recorded."""
    width: int


async def frame_name(services: Services, camera: str, at_ms: int, width: int) -> FrameName:
    """Return the name of the frame at a time; raise ProblemError (404) where there is none."""
    source, ranges = await _frame_source(services, camera, at_ms)
    name = f"{camera}/{source.run}-{source.seq}-{ranges.keyframe}-{width}"
    return FrameName(name, at_ms, _shown_ms(source, ranges), width)


async def frame_jpeg(request: web.Request, camera: str, frame: FrameName) -> bytes:
    """Return a frame as JPEG, from memory or rendered; the caller may see the camera."""
    services = request.app[SERVICES]
    data = services.thumbnails.get(frame.name)
    RENDERED.labels("store" if data is None else "memory").inc()
    if data is None:
        async with services.pictures.slot(request[PRINCIPAL].id, visible_now()):
            data = await _render(services, camera, frame.wanted_ms, frame.width)
        with contextlib.suppress(ValueError):  # larger than the whole cache
            services.thumbnails[frame.name] = data
    return data


async def _frame_source(
    services: Services, camera: str, at_ms: int
) -> tuple[FrameSource, ByteRanges]:
    source = await frame_at(await services.catalog.get(), camera, at_ms)
    if source is None:
        raise not_found(f"{camera} has no footage at {at_ms}.")
    ranges = ranges_for(
        at_ms,
        start_ms=source.start_ms,
        start_pts=source.start_pts,
        size_bytes=source.location.size_bytes,
        keyframes=source.keyframes,
    )
    return source, ranges


def _shown_ms(source: FrameSource, ranges: ByteRanges) -> int:
    """Return when the frame was recorded (UTC ms)."""
    return source.start_ms + (0 if ranges.pts is None else (ranges.pts - source.start_pts) // 90)


async def _render(services: Services, camera: str, at_ms: int, width: int) -> bytes:
    for whole_fragment in (False, True):
        parts = await _read_parts(services, camera, at_ms, whole_fragment=whole_fragment)
        try:
            return await services.pictures.jpeg(assemble(parts), width)
        except MediaError as error:
            # Some cameras send the parameter sets only once in a fragment.
            if whole_fragment:
                raise not_found(f"The frame cannot be shown: {error}") from error
    raise AssertionError("the second attempt returns or raises")


async def _read_parts(
    services: Services, camera: str, at_ms: int, *, whole_fragment: bool
) -> list[bytes]:
    source, ranges = await _frame_source(services, camera, at_ms)
    try:
        return await _read(services, source, ranges, whole_fragment=whole_fragment)
    except ObjectMissingError:
        # Its chunk has just replaced it.
        moved, ranges = await _frame_source(services, camera, at_ms)
        if moved.location == source.location:
            raise
        return await _read(services, moved, ranges, whole_fragment=whole_fragment)


async def _read(
    services: Services, source: FrameSource, ranges: ByteRanges, *, whole_fragment: bool
) -> list[bytes]:
    store = await services.store.get()
    at, size = source.location.offset, source.location.size_bytes
    byte_ranges = ((0, size - 1),) if whole_fragment else ranges.ranges
    return await asyncio.gather(
        *(
            store.get(source.location.key, at + first, at + min(last, first + MAX_READ_BYTES - 1))
            for first, last in byte_ranges
        )
    )
