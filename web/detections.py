"""…/detections: the objects detected in a range, page by page."""

from typing import Any, cast

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.detections import DetectionRow, PageCursor, find_detections
from web.access import on_camera
from web.bodies import json_answer, parse_query
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.query import LONGEST_DAY_MS
from web.schemas.detections import Detections, DetectionsQuery
from web.services import SERVICES, require_camera


class DetectionsView(View):
    """Detected objects, by time."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/detections"
    access = on_camera(Permission.DETECTIONS_READ)
    operations = describe(
        get=Operation(
            "List the objects detected in a range",
            description="By time. Without `model`, the current detections: the edge's own, and "
            "where a replay was made current, that replay's.",
            answer=Detections,
            query=DetectionsQuery,
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return a page; its `next` is the cursor of the next page."""
        services = request.app[SERVICES]
        query = parse_query(request, DetectionsQuery)
        span = query.span(services.clock_ms(), LONGEST_DAY_MS)
        place = parse_cursor(request, query, int, str, int, str, str, int)
        model_filter = query.model_filter()
        catalog = await services.catalog.get()
        async with catalog.together():
            found = await require_camera(request)
            rows = await find_detections(
                catalog,
                found.id,
                span.from_ms,
                span.to_ms,
                labels=query.label,
                min_score=query.min_score,
                after=cast(PageCursor | None, place),
                limit=query.limit + 1,
                model_filter=model_filter,
            )
        page, following = page_of(request, query, rows, lambda row: row.cursor)
        # As plain objects: to make a model of each row costs a third of the whole answer.
        answer = Detections.model_validate(
            {"detections": [_detection_json(row) for row in page], "next": following}
        )
        return json_answer(answer)


def _detection_json(row: DetectionRow) -> dict[str, Any]:
    return {
        "at_ms": row.at_ms,
        "run": row.run,
        "pts": row.pts,
        "index": row.index,
        "model": row.model,
        "model_version": row.model_version,
        "label": row.label,
        "score": row.score,
        "box": (row.x, row.y, row.w, row.h),
        "track": row.track,
    }
