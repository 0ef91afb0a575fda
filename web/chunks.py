"""…/chunks: the chunks and newest fragments of a range, with the URLs of their bytes."""

from typing import Any

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.timeline import list_chunks, list_fragments
from web.access import on_camera
from web.query import LONGEST_DAY_MS, parse_time_range
from web.services import SERVICES, require_camera
from web.timeline import coverage, gap_json


class ChunksView(View):
    """The objects of a range."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/chunks"
    access = on_camera(Permission.FOOTAGE_READ)

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return chunks, fragments without a chunk, and gaps."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        span = parse_time_range(request, now_ms, longest_ms=LONGEST_DAY_MS)
        found = await require_camera(request)
        catalog = await services.catalog.get()
        # Fragments first: one that moves into its chunk between the queries is in both lists then,
        # and never in none.
        fragments = await list_fragments(catalog, found.id, span.from_ms, span.to_ms)
        chunks = await list_chunks(catalog, found.id, span.from_ms, span.to_ms)
        _, gaps = await coverage(catalog, found, span, now_ms)
        base = f"/api/v1/cameras/{found.id}"
        body = {
            "from_ms": span.from_ms,
            "to_ms": span.to_ms,
            "chunks": [chunk | {"url": f"{base}/{chunk_path(chunk)}"} for chunk in chunks],
            "fragments": [
                each | {"url": f"{base}/{fragment_path(each['run'], each['seq'])}"}
                for each in fragments
            ],
            "gaps": [gap_json(gap) for gap in gaps],
        }
        response = web.json_response(body, headers={"Cache-Control": "no-store"})
        response.enable_compression()
        return response


def chunk_path(chunk: dict[str, Any]) -> str:
    """Return a chunk's path below its camera's URL."""
    return f"chunks/{chunk['run']}/{chunk['window_start_ms']}/{chunk['digest']}.ts"


def fragment_path(run: str, seq: int) -> str:
    """Return a fragment's path below its camera's URL."""
    return f"fragments/{run}/{seq}.ts"


def gap_path(run: str, seq: int) -> str:
    """Return a missing fragment's path. It answers: not all players obey EXT-X-GAP."""
    return f"{fragment_path(run, seq)}?gap=1"
