"""…/filmstrip.jpg: frames of a range in one picture, so that a timeline needs one request."""

import asyncio
import hashlib
from http import HTTPStatus

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.errors import MediaError, ObjectMissingError
from media.filmstrip import filmstrip
from web.access import on_camera
from web.bodies import parse_query
from web.object_response import matches
from web.operations import MediaBody, Operation, describe
from web.problems import ProblemError, not_found
from web.schemas.footage import FilmstripQuery
from web.services import SERVICES, Services, require_camera
from web.thumbnail import IMMUTABLE_AFTER_MS, FrameName, frame_jpeg, frame_name
from web.timeline import LONGEST_MS

COLUMNS = 10
DEADLINE_S = 20.0


class FilmstripView(View):
    """A grid of frames."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/filmstrip.jpg"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "Get frames of a range as one JPEG",
            description="A grid of equal cells, row by row, at most 10 in a row. Each cell shows "
            "the middle of its part of the range: the last keyframe before it. A cell without "
            "footage is black. A range of at most 31 days.",
            query=FilmstripQuery,
            answer=MediaBody("image/jpeg", "The grid."),
            others={304: "`If-None-Match` names these frames."},
            headers={"If-None-Match": "The `ETag` of the filmstrip that the client has."},
            answer_headers={
                "ETag": "Names these frames in this width.",
                "Vigil-Filmstrip": "`columns=10;rows=3;width=160;height=90`: the grid, and the "
                "pixels of a cell. Not sent with 304.",
                "Vigil-Picture-Ms": "Time of each frame, UTC ms, with commas; `-`: no footage.",
            },
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the grid; 404: there is no footage in the range, 503: it takes too long."""
        services = request.app[SERVICES]
        query = parse_query(request, FilmstripQuery)
        span = query.span(services.clock_ms(), LONGEST_MS)
        found = await require_camera(request)
        step_ms = (span.to_ms - span.from_ms) / query.frames
        times = [span.from_ms + int((cell + 0.5) * step_ms) for cell in range(query.frames)]
        frames = [await _frame(services, found.id, at_ms, query.width) for at_ms in times]
        if not any(frames):
            raise not_found(f"{found.id} has no footage in this range.")
        etag = f'"{_tag(frames, query.width)}"'
        is_old = span.to_ms < services.clock_ms() - IMMUTABLE_AFTER_MS
        headers = {
            "ETag": etag,
            "Cache-Control": "private, max-age=3600" if is_old else "private, no-cache",
            "Vigil-Picture-Ms": ",".join(
                "-" if frame is None else str(frame.shown_ms) for frame in frames
            ),
        }
        if matches(request.headers.get("If-None-Match", ""), etag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        try:
            async with asyncio.timeout(DEADLINE_S):
                # One after the other: a filmstrip takes one slot of the decoders.
                pictures = [await _picture(request, found.id, frame) for frame in frames]
        except TimeoutError:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The frames take longer than {DEADLINE_S:.0f} s. Try again: those that are ready "
                "are kept for a while.",
                {"Retry-After": "2"},
            ) from None
        columns = min(COLUMNS, query.frames)
        try:
            strip = await asyncio.to_thread(filmstrip, pictures, query.width, columns)
        except MediaError as error:
            raise not_found(f"The frames cannot be shown: {error}") from error
        headers["Vigil-Filmstrip"] = (
            f"columns={strip.columns};rows={strip.rows};width={strip.cell_width};"
            f"height={strip.cell_height}"
        )
        return web.Response(body=strip.jpeg, content_type="image/jpeg", headers=headers)


async def _frame(services: Services, camera: str, at_ms: int, width: int) -> FrameName | None:
    try:
        return await frame_name(services, camera, at_ms, width)
    except ProblemError as problem:
        if problem.status == HTTPStatus.NOT_FOUND:
            return None
        raise


async def _picture(request: web.Request, camera: str, frame: FrameName | None) -> bytes | None:
    if frame is None:
        return None
    try:
        return await frame_jpeg(request, camera, frame)
    except ObjectMissingError:
        return None  # retention deletes it now, or fsck reports it
    except ProblemError as problem:
        if problem.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _tag(frames: list[FrameName | None], width: int) -> str:
    names = "\n".join("-" if frame is None else frame.name for frame in frames)
    return hashlib.sha256(f"{width}\n{names}".encode()).hexdigest()[:32]
