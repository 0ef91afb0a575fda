"""…/chunks: the chunks and newest fragments of a range, with the URLs of their bytes."""

from typing import Any

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.timeline import list_chunks, list_fragments
from web.access import on_camera
from web.bodies import json_answer, parse_query
from web.operations import Operation, describe
from web.query import LONGEST_DAY_MS
from web.schemas.footage import Chunk, Chunks, FragmentLink
from web.schemas.parameters import RangeQuery
from web.services import SERVICES, require_camera
from web.timeline import coverage, gap_answers


class ChunksView(View):
    """The objects of a range."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/chunks"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "List the chunks and the newest fragments of a range",
            description="A range of at most 25 hours.",
            answer=Chunks,
            query=RangeQuery,
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return chunks, fragments without a chunk, and gaps."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        span = parse_query(request, RangeQuery).span(now_ms, LONGEST_DAY_MS)
        catalog = await services.catalog.get()
        async with catalog.together():
            found = await require_camera(request)
            # Fragments first: one that moves into its chunk between the queries is in both lists
            # then, and never in none.
            fragments = await list_fragments(catalog, found.id, span.from_ms, span.to_ms)
            chunks = await list_chunks(catalog, found.id, span.from_ms, span.to_ms)
            _, gaps = await coverage(catalog, found, span, now_ms)
        base = f"/api/v1/cameras/{found.id}"
        answer = Chunks(
            from_ms=span.from_ms,
            to_ms=span.to_ms,
            chunks=[Chunk(**chunk, url=f"{base}/{chunk_path(chunk)}") for chunk in chunks],
            fragments=[
                FragmentLink(**each, url=f"{base}/{fragment_path(each['run'], each['seq'])}")
                for each in fragments
            ],
            gaps=gap_answers(gaps),
        )
        return json_answer(answer)


def chunk_path(chunk: dict[str, Any]) -> str:
    """Return a chunk's path below its camera's URL."""
    return f"chunks/{chunk['run']}/{chunk['window_start_ms']}/{chunk['digest']}.ts"


def fragment_path(run: str, seq: int) -> str:
    """Return a fragment's path below its camera's URL."""
    return f"fragments/{run}/{seq}.ts"


def gap_path(run: str, seq: int) -> str:
    """Return a missing fragment's path. It answers: not all players obey EXT-X-GAP."""
    return f"{fragment_path(run, seq)}?gap=1"
