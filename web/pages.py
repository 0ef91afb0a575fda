"""/: the dashboard's files. Unknown paths get index.html: the page handles its own routes."""

import asyncio
import mimetypes
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from faust.web import View

from web.access import PUBLIC
from web.middleware import PAGES_PATH
from web.object_response import matches
from web.operations import UNDESCRIBED
from web.problems import not_found

DASHBOARD = Path(__file__).parent / "dashboard" / "dist"

NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Vigil</title>
<body style="font: 16px/1.5 system-ui; margin: 4rem auto; max-width: 36rem; padding: 0 1rem">
<h1>The dashboard is not built</h1>
<p>The API answers. To build the page, run <code>make dashboard</code> and load this page again.</p>
"""


class PagesView(View):
    """Files of the dashboard."""

    view_path = PAGES_PATH
    access = PUBLIC
    operations = UNDESCRIBED

    async def get(self, request: web.Request, path: str) -> web.StreamResponse:
        """Return a file, or index.html."""
        if path.startswith("api/"):
            raise not_found("There is nothing at this address of the API.")
        found = _file(path)
        if found is not None:
            fixed = path.startswith("assets/")  # their names contain a hash of their content
            cache = "public, max-age=31536000, immutable" if fixed else "no-cache"
            return await _response(request, found, cache)
        if "." in path.rsplit("/", 1)[-1]:
            raise not_found("There is no such file.")
        first = _file("index.html")
        if first is None:
            return web.Response(
                text=NOT_BUILT,
                content_type="text/html",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
            )
        return await _response(request, first, "no-cache")


async def _response(request: web.Request, file: Path, cache: str) -> web.Response:
    """Return a whole small file: no range of it, which aiohttp would answer without a problem."""
    data, etag = await asyncio.to_thread(_load, file)
    headers = {"Cache-Control": cache, "ETag": etag}
    if matches(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return web.Response(body=data, content_type=kind, headers=headers)


def _load(file: Path) -> tuple[bytes, str]:
    stat = file.stat()
    return file.read_bytes(), f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def _file(path: str) -> Path | None:
    if not path or "\0" in path:
        return None
    try:
        wanted = (DASHBOARD / path).resolve()
        within = wanted.is_relative_to(DASHBOARD.resolve())
        return wanted if within and wanted.is_file() else None
    except (OSError, ValueError):  # a name that no file can have: too long, not UTF-8
        return None
