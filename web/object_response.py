"""Responses with an object's bytes: streamed (with ranges), or a redirect to a signed URL."""

from collections.abc import AsyncIterator
from http import HTTPStatus

from aiohttp import web

from domain.errors import StoreError
from stores.catalog.playback import ObjectRange
from stores.objects import ObjectStore
from web.middleware import PRINCIPAL
from web.operations import MediaBody, Operation
from web.problems import ProblemError
from web.schemas.base import ApiQuery
from web.services import SERVICES

PRESIGNED_URL_TTL_S = 300
"""How long a presigned URL is valid. Each request to the API gets a new one."""
MEDIA_TYPE = "video/mp2t"


def object_operation(
    summary: str, description: str, query: type[ApiQuery] | None = None
) -> Operation:
    """Return the operation of an address that answers with an object's bytes."""
    media = MediaBody(MEDIA_TYPE, "MPEG-TS.")
    return Operation(
        summary,
        description=description,
        query=query,
        answer=media,
        others={
            206: media,
            302: "To a presigned URL, where `VIGIL_MEDIA_DELIVERY=redirect`.",
            304: "`If-None-Match` names these bytes.",
        },
        problems={412: "`If-Match` names other bytes.", 416: "The range is outside the object."},
        headers={
            "Range": "One range of bytes.",
            "If-Range": "The range only if the `ETag` is this one.",
            "If-Match": "These bytes, or 412.",
            "If-None-Match": "Other bytes than these, or 304.",
        },
        answer_headers={"ETag": "Names these bytes."},
    )


async def send_object(request: web.Request, location: ObjectRange) -> web.StreamResponse:
    """Respond with the bytes of `location`; they never change, so clients may cache them.

    Raises ObjectMissingError before anything is sent, ProblemError for a range outside (416) and
    for an If-Match of other bytes (412).
    """
    etag = f'"{location.etag}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, max-age=86400, immutable",
        "Accept-Ranges": "bytes",
    }
    _check_if_match(request, etag)
    if matches(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    services = request.app[SERVICES]
    store = await services.store.get()
    by_redirect = services.settings.media_delivery == "redirect" and location.is_whole
    if by_redirect and request.method != "HEAD":
        url = await store.presign(location.key, expires_s=PRESIGNED_URL_TTL_S)
        redirect = {"Location": url, "Cache-Control": "no-store"}
        return web.Response(status=HTTPStatus.FOUND, headers=redirect)
    size = (
        location.size_bytes
        if location.size_bytes >= 0
        else (await store.head(location.key)).size_bytes
    )
    first, last, partial = _range(request, size, etag)
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
    services.bounds.admit_media(request[PRINCIPAL].id)
    await _stream(request, response, store, location, (first, last))
    return response


async def _stream(
    request: web.Request,
    response: web.StreamResponse,
    store: ObjectStore,
    location: ObjectRange,
    span: tuple[int, int],
) -> None:
    first, last = span
    bounds, principal = request.app[SERVICES].bounds, request[PRINCIPAL].id
    blocks: AsyncIterator[bytes] = store.stream(
        location.key, location.offset + first, location.offset + last
    )
    block = await anext(blocks, b"")  # a missing object raises here, before the headers are sent
    await response.prepare(request)
    left = last - first + 1
    try:
        while block:
            await response.write(block[:left])
            left -= len(block)
            if left > 0:
                await bounds.pace(principal, len(block))
            block = await anext(blocks, b"")
    except StoreError:
        left = max(left, 1)
    if left > 0:
        # Too late for an error status: abort the connection, so that the client sees that it is
        # incomplete.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"{location.key} ended early")
    await response.write_eof()


def matches(header: str, etag: str) -> bool:
    """Return whether If-None-Match names this entity tag: `*`, or by weak comparison."""
    names = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in names or etag in names


def _check_if_match(request: web.Request, etag: str) -> None:
    header = request.headers.get("If-Match")
    if header is None:
        return
    names = [each.strip() for each in header.split(",")]
    if "*" not in names and etag not in names:
        raise ProblemError(HTTPStatus.PRECONDITION_FAILED, "The object has another ETag.")


def _range(request: web.Request, size: int, etag: str) -> tuple[int, int, bool]:
    """Return first, last, and whether it is a part.

    All bytes for several ranges in one request, and where If-Range names other bytes.
    """
    if request.headers.get("If-Range", etag).strip() != etag:
        return 0, size - 1, False
    try:
        requested = request.http_range
    except ValueError:
        return 0, size - 1, False
    first, stop = requested.start, requested.stop
    if first is None and stop is None:
        return 0, size - 1, False
    if first is not None and (first < 0 or _is_suffix(request)):  # the last bytes
        first, stop = max(0, size + first) if first else size, size
    first = first or 0
    last = min(stop if stop is not None else size, size) - 1
    if first > last:
        raise ProblemError(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"The object has {size} bytes.",
            {"Content-Range": f"bytes */{size}"},
        )
    return first, last, True


def _is_suffix(request: web.Request) -> bool:
    return request.headers.get("Range", "").strip().startswith("bytes=-")
