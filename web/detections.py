"""…/detections: the objects detected in a range, page by page."""

import base64
import json
from typing import Any

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.identity import check_run
from stores.catalog.detections import DetectionRow, PageCursor, find_detections
from web.access import on_camera
from web.problems import bad_request
from web.query import (
    LONGEST_DAY_MS,
    is_storable,
    parse_fraction,
    parse_int,
    parse_model_filter,
    parse_time_range,
)
from web.services import SERVICES, require_camera

MAX_LIMIT = 5_000
MAX_LABELS = 100
MAX_LABEL_CHARS = 100


class DetectionsView(View):
    """Detected objects, by time."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/detections"
    access = on_camera(Permission.DETECTIONS_READ)

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return a page; its `next` is the cursor of the next page."""
        services = request.app[SERVICES]
        span = parse_time_range(request, services.clock_ms(), longest_ms=LONGEST_DAY_MS)
        limit = parse_int(request, "limit", 1_000, 1, MAX_LIMIT)
        min_score = parse_fraction(request, "min_score", 0.0)
        labels = request.query.getall("label", [])
        if len(labels) > MAX_LABELS or max(map(len, labels), default=0) > MAX_LABEL_CHARS:
            raise bad_request(
                f"label: at most {MAX_LABELS} labels of at most {MAX_LABEL_CHARS} characters."
            )
        cursor = request.query.get("cursor")
        after = None if cursor is None else _parse_cursor(cursor)
        model_filter = parse_model_filter(request)
        found = await require_camera(request)
        rows = await find_detections(
            await services.catalog.get(),
            found.id,
            span.from_ms,
            span.to_ms,
            labels=labels,
            min_score=min_score,
            after=after,
            limit=limit + 1,
            model_filter=model_filter,
        )
        more = len(rows) > limit
        body = {
            "detections": [_detection_json(row) for row in rows[:limit]],
            "next": _encode_cursor(rows[limit - 1].cursor) if more else None,
        }
        response = web.json_response(body, headers={"Cache-Control": "no-store"})
        response.enable_compression()
        return response


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
        "box": [row.x, row.y, row.w, row.h],
        "track": row.track,
    }


def _encode_cursor(cursor: PageCursor) -> str:
    return base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode()


def _parse_cursor(cursor: str) -> PageCursor:
    try:
        fields = json.loads(base64.urlsafe_b64decode(cursor[:2_000]))
        at_ms, run, pts, model, version, index = fields
        whole = all(type(number) is int for number in (at_ms, pts, index))
        texts = all(is_storable(text) for text in (model, version))
        if whole and texts and max(abs(at_ms), abs(pts)) < 1 << 62 and 0 <= index < 1 << 15:
            return at_ms, check_run(run), pts, model, version, index
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise bad_request("cursor: send the `next` of the previous page, unchanged.")
