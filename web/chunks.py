"""…/chunks: the chunks and newest fragments of a range, with the addresses of their bytes."""

from typing import Any

from aiohttp import web
from faust.web import View

from stores.catalog.timeline import list_chunks, list_fragments
from web.query import DAY_MS, parse_time_range
from web.services import SERVICES, require_camera
from web.timeline import coverage, gap_json


class ChunksView(View):
    """What stands in the store for a range."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/chunks"

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return chunks, the fragments that no chunk holds yet, and gaps."""
        here = request.app[SERVICES]
        now_ms = here.clock_ms()
        stretch = parse_time_range(request, now_ms, longest_ms=DAY_MS)
        found = await require_camera(request)
        catalog = await here.catalog.get()
        # Fragments first: one that moves into its chunk meanwhile is then seen twice, not missed.
        fragments = await list_fragments(catalog, found.id, stretch.from_ms, stretch.to_ms)
        chunks = await list_chunks(catalog, found.id, stretch.from_ms, stretch.to_ms)
        _, gaps = await coverage(catalog, found, stretch, now_ms)
        base = f"/api/v1/cameras/{found.id}"
        body = {
            "from_ms": stretch.from_ms,
            "to_ms": stretch.to_ms,
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
    """Return a chunk's address below its camera's."""
    return f"chunks/{chunk['run']}/{chunk['window_start_ms']}/{chunk['digest']}.ts"


def fragment_path(run: str, seq: int) -> str:
    """Return a fragment's address below its camera's."""
    return f"fragments/{run}/{seq}.ts"
