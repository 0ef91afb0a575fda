"""…/chunks: the chunks and newest fragments of a range, with the URLs of their bytes."""

from typing import Any, cast

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.timeline import FootageGap, list_chunks, list_fragments
from web.access import on_camera
from web.bodies import json_answer, parse_query
from web.operations import Operation, describe
from web.pagination import Place, page_of, parse_cursor
from web.query import LONGEST_DAY_MS
from web.schemas.footage import Chunk, Chunks, ChunksQuery, FragmentLink
from web.services import SERVICES, require_camera
from web.timeline import coverage, gap_answers

_FRAGMENTS, _CHUNKS = "fragments", "chunks"
"""Which of the two a cursor is in."""


class ChunksView(View):
    """The objects of a range."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/chunks"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "List the chunks and the newest fragments of a range",
            description="A range of at most 25 hours. First the fragments, then the chunks. A "
            "fragment that moves into its chunk from one page to the next is in both lists.",
            answer=Chunks,
            query=ChunksQuery,
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return a page of fragments without a chunk and of chunks; gaps with the first page."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        query = parse_query(request, ChunksQuery)
        span = query.span(now_ms, LONGEST_DAY_MS)
        place = parse_cursor(request, query, str, int, str, int)
        kind, *values = (None, None, None, None) if place is None else place
        catalog = await services.catalog.get()
        gaps: list[FootageGap] = []
        fragments: list[dict[str, Any]] = []
        async with catalog.together():
            found = await require_camera(request)
            within = (catalog, found.id, span.from_ms, span.to_ms)
            # Fragments first: one that moves into its chunk between the queries is in both lists
            # then, and never in none.
            if kind != _CHUNKS:
                last = cast("tuple[int, str, int]", tuple(values)) if place is not None else None
                fragments = await list_fragments(*within, after=last, limit=query.limit + 1)
            left = query.limit + 1 - len(fragments)
            at = cast("tuple[int, str]", tuple(values[:2])) if kind == _CHUNKS else None
            chunks = await list_chunks(*within, after=at, limit=left) if left else []
            if place is None:
                _, gaps = await coverage(catalog, found, span, now_ms)
        page, following = page_of(request, query, [*fragments, *chunks], _place_of)
        base = f"/api/v1/cameras/{found.id}"
        answer = Chunks(
            from_ms=span.from_ms,
            to_ms=span.to_ms,
            chunks=[
                Chunk(**each, url=f"{base}/{chunk_path(each)}")
                for each in page
                if "seq" not in each
            ],
            fragments=[
                FragmentLink(**each, url=f"{base}/{fragment_path(each['run'], each['seq'])}")
                for each in page
                if "seq" in each
            ],
            gaps=gap_answers(gaps),
            next=following,
        )
        return json_answer(answer)


def _place_of(entry: dict[str, Any]) -> Place:
    """Return the place of a fragment or of a chunk in the list."""
    if "seq" in entry:
        return _FRAGMENTS, entry["start_ms"], entry["run"], entry["seq"]
    return _CHUNKS, entry["window_start_ms"], entry["run"], 0


def chunk_path(chunk: dict[str, Any]) -> str:
    """Return a chunk's path below its camera's URL."""
    return f"chunks/{chunk['run']}/{chunk['window_start_ms']}/{chunk['digest']}.ts"


def fragment_path(run: str, seq: int) -> str:
    """Return a fragment's path below its camera's URL."""
    return f"fragments/{run}/{seq}.ts"


def gap_path(run: str, seq: int) -> str:
    """Return a missing fragment's path. It answers: not all players obey EXT-X-GAP."""
    return f"{fragment_path(run, seq)}?gap=1"
