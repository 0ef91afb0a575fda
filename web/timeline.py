"""…/timeline: recorded time, gaps with their reasons, and counts of detections."""

from typing import Any

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.camera_state import STATE_LIMITS
from stores.catalog import Catalog, RegisteredCamera
from stores.catalog.intervals import TOLERANCE_MS, Interval
from stores.catalog.timeline import (
    FootageGap,
    bucket_length,
    covered,
    detection_buckets,
    footage_before,
    reported_gaps,
    run_ends,
)
from web.access import on_camera
from web.gaps import END_SLACK_MS, explain_gaps, uncovered_intervals
from web.query import DAY_MS, TimeRange, parse_int, parse_model_filter, parse_time_range
from web.services import SERVICES, require_camera

LONGEST_MS = 31 * DAY_MS
MAX_BUCKETS = 2_000


async def coverage(
    catalog: Catalog, camera: RegisteredCamera, span: TimeRange, now_ms: int
) -> tuple[list[Interval], list[FootageGap]]:
    """Return where a camera has footage in a range, and the gaps with their reasons."""
    from_ms, to_ms = span.from_ms, span.to_ms
    if camera.first_ms is None or camera.last_ms is None:
        return [], []
    footage = await covered(catalog, camera.id, from_ms, to_ms)
    until_ms = min(to_ms, _known_until(camera, now_ms))
    missing = uncovered_intervals(footage, max(from_ms, camera.first_ms), until_ms)
    if not missing:
        return footage, []
    first, last = missing[0][0], missing[-1][1]
    # A gap at the start of the range may have begun before it.
    began_ms = await footage_before(catalog, camera.id, first) or first
    reported = await reported_gaps(catalog, camera.id, first, last)
    ends = await run_ends(catalog, camera.id, began_ms - END_SLACK_MS, last + END_SLACK_MS)
    return footage, explain_gaps(missing, reported, ends, began_ms)


def _known_until(camera: RegisteredCamera, now_ms: int) -> int:
    """Return up to when missing footage is a gap. At the live edge it may still be uploading."""
    assert camera.last_ms is not None
    ended = camera.run_ended_ms is not None and camera.run_ended_ms >= camera.last_ms - TOLERANCE_MS
    limit_ms = STATE_LIMITS.recording_ms if ended else STATE_LIMITS.late_ms
    return now_ms if now_ms - camera.last_ms > limit_ms else camera.last_ms


def gap_json(gap: FootageGap) -> dict[str, Any]:
    """Return a gap as the API shows it."""
    return {"from_ms": gap.from_ms, "to_ms": gap.to_ms, "reason": gap.reason}


class TimelineView(View):
    """Footage, gaps and detections of one camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/timeline"
    access = on_camera(Permission.FOOTAGE_READ)

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return footage, gaps, and for each bucket the most objects of a label in one frame."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        span = parse_time_range(request, now_ms, longest_ms=LONGEST_MS)
        buckets = parse_int(request, "buckets", 600, 1, MAX_BUCKETS)
        model_filter = parse_model_filter(request)
        found = await require_camera(request)
        catalog = await services.catalog.get()
        footage, gaps = await coverage(catalog, found, span, now_ms)
        bucket_ms = bucket_length(span.from_ms, span.to_ms, buckets)
        counts = await detection_buckets(
            catalog, found.id, span.from_ms, span.to_ms, bucket_ms, model_filter=model_filter
        )
        body = {
            "from_ms": span.from_ms,
            "to_ms": span.to_ms,
            "bucket_ms": bucket_ms,
            "covered": footage,
            "gaps": [gap_json(gap) for gap in gaps],
            "detections": [
                {"at_ms": each.at_ms, "label": each.label, "count": each.count} for each in counts
            ],
        }
        response = web.json_response(body, headers={"Cache-Control": "no-store"})
        response.enable_compression()
        return response
