"""Handing out an object's bytes, or a part of it: streamed (with ranges) or by redirect."""

from collections.abc import AsyncIterator
from http import HTTPStatus

from aiohttp import web

from domain.errors import StoreError
from stores.catalog.playback import ObjectRange
from stores.objects import ObjectStore
from web.problems import ProblemError
from web.services import SERVICES

PRESIGNED_URL_TTL_S = 300
"""How long a signed address works; the playlist's own addresses give a fresh one each time."""
MEDIA_TYPE = "video/mp2t"


async def send_object(request: web.Request, place: ObjectRange) -> web.StreamResponse:
    """Answer with the bytes at `place`, which never change under their address.

    Raises ObjectMissingError before anything was sent, ProblemError (416) for a range outside.
    """
    etag = f'"{place.etag}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=86400, immutable",
        "Accept-Ranges": "bytes",
    }
    if etag in (each.strip() for each in request.headers.get("If-None-Match", "").split(",")):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    here = request.app[SERVICES]
    store = await here.store.get()
    by_redirect = here.settings.media_delivery == "redirect" and place.whole
    if by_redirect and request.method != "HEAD":
        address = await store.presign(place.key, expires_s=PRESIGNED_URL_TTL_S)
        raise_to = {"Location": address, "Cache-Control": "no-store"}
        return web.Response(status=HTTPStatus.FOUND, headers=raise_to)
    size = place.size_bytes if place.size_bytes >= 0 else (await store.head(place.key)).size_bytes
    first, last, partial = _range(request, size)
    response = web.StreamResponse(
        status=HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK, headers=headers
    )
    response.content_type = MEDIA_TYPE
    response.content_length = last - first + 1
    if partial:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    await _stream(request, response, store, place, (first, last))
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    store: ObjectStore,
    place: ObjectRange,
    wanted: tuple[int, int],
) -> None:
    first, last = wanted
    pieces: AsyncIterator[bytes] = store.stream(
        place.key, place.offset + first, place.offset + last
    )
    piece = await anext(pieces, b"")  # a missing object is told before the headers are sent
    await response.prepare(request)
    left = last - first + 1
    try:
        while piece:
            await response.write(piece[:left])
            left -= len(piece)
            piece = await anext(pieces, b"")
    except StoreError:
        left = max(left, 1)
    if left > 0:
        # Too late for an error: what was promised is cut off, so that nobody takes it for whole.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"{place.key} ended early")
    await response.write_eof()


def _range(request: web.Request, size: int) -> tuple[int, int, bool]:
    """Return first, last and whether a part was asked for; one range only, others count as none."""
    try:
        wanted = request.http_range
    except ValueError:
        return 0, size - 1, False
    first, stop = wanted.start, wanted.stop
    if first is None and stop is None:
        return 0, size - 1, False
    if first is not None and first < 0:  # the last so many bytes
        first, stop = max(0, size + first), size
    first = first or 0
    last = min(stop if stop is not None else size, size) - 1
    if first > last:
        raise ProblemError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The object has {size} bytes.",
            {"Content-Range": f"bytes */{size}"},
        )
    return first, last, True
