"""Compress answers by gzip, where the client accepts that.

Media are compressed already, and event streams must not wait: neither is touched. A playlist of
many hours is compressed piece by piece by its view.

An attacker who adds text to an answer with a secret, and sees its length, learns it (BREACH).
Here no answer to a GET holds a secret, and answers to other methods are not compressed. Requests of
other sites come without the session's cookie.
"""

import asyncio
import re
import zlib
from http import HTTPStatus

from aiohttp import web
from cachetools import LRUCache

from web.types import Handler

LEVEL = 2
"""1.4 MB of detections: 332 kB in 36 ms. Level 6 needs 98 ms for 305 kB."""
MIN_BYTES = 1_024
INLINE_BYTES = 32 << 10
"""More than this is compressed in a thread."""
MAX_BYTES = 32 << 20
FILE_CACHE_BYTES = 8 << 20
TYPES = frozenset(
    {
        "application/json",
        "application/vnd.apple.mpegurl",
        "text/html",
        "text/css",
        "text/plain",
        "text/javascript",
        "application/javascript",
        "image/svg+xml",
    }
)
_CODING = re.compile(r"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")
_files: LRUCache[str, bytes] = LRUCache(FILE_CACHE_BYTES, getsizeof=len)
"""Compressed files of the dashboard, which are the same for everybody."""
_threads = asyncio.Semaphore(2)


@web.middleware
async def compress(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Compress the body of a GET's answer; see the module."""
    response = await handler(request)
    if (
        request.method != "GET"
        or not isinstance(response, web.Response)
        or response.status != HTTPStatus.OK
        or response.content_type not in TYPES
        or "Content-Encoding" in response.headers
    ):
        return response
    body = response.body
    if not isinstance(body, bytes) or not MIN_BYTES <= len(body) <= MAX_BYTES:
        return response
    vary = response.headers.get("Vary")
    response.headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
    if not accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return response
    etag = response.headers.get("ETag", "")
    response.body = await _compressed(body, _file_name(request, response, etag))
    response.headers["Content-Encoding"] = "gzip"
    if etag.endswith('"'):
        response.headers["ETag"] = f'{etag[:-1]}-gzip"'
    return response


def _file_name(request: web.Request, response: web.Response, etag: str) -> str | None:
    """Return the name of what never changes and is the same for everybody; else None."""
    cached = response.headers.get("Cache-Control", "")
    if etag and "public" in cached and "immutable" in cached:
        return f"{request.path} {etag}"
    return None


async def _compressed(body: bytes, name: str | None) -> bytes:
    if name is not None and (known := _files.get(name)) is not None:
        return known
    if len(body) <= INLINE_BYTES:
        packed = gzip(body)
    else:
        async with _threads:
            packed = await asyncio.to_thread(gzip, body)
    if name is not None and len(packed) <= FILE_CACHE_BYTES:
        _files[name] = packed
    return packed


def gzip(body: bytes) -> bytes:
    """Return the body compressed; the same bytes each time."""
    packer = zlib.compressobj(LEVEL, wbits=31)
    return packer.compress(body) + packer.flush()


def accepts_gzip(header: str) -> bool:
    """Return whether a client takes gzip; RFC 9110, 12.5.3."""
    quality: dict[str, float] = {}
    for part in header[:1_000].split(","):
        found = _CODING.fullmatch(part)
        if found is not None:
            quality[found[1].lower()] = float(found[2] or 1)
    gzip_quality = quality.get("gzip", quality.get("x-gzip", quality.get("*", 0.0)))
    return gzip_quality > 0 and gzip_quality >= quality.get("identity", 0.0)
