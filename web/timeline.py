"""…/timeline: recorded time, gaps with their reasons and detections, for drawing."""

from typing import Any

from aiohttp import web
from faust.web import View

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
from web.cameras import LATE_MS, RECORDING_MS
from web.gaps import END_SLACK_MS, explain_gaps, uncovered_intervals
from web.query import DAY_MS, TimeRange, parse_int, parse_model_filter, parse_time_range
from web.services import SERVICES, require_camera

LONGEST_MS = 31 * DAY_MS
MAX_BUCKETS = 2_000


async def coverage(
    catalog: Catalog, camera: RegisteredCamera, stretch: TimeRange, now_ms: int
) -> tuple[list[Interval], list[FootageGap]]:
    """Return where a camera has footage in a range, and why it has none elsewhere."""
    from_ms, to_ms = stretch.from_ms, stretch.to_ms
    if camera.first_ms is None or camera.last_ms is None:
        return [], []
    footage = await covered(catalog, camera.id, from_ms, to_ms)
    until_ms = min(to_ms, _known_until(camera, now_ms))
    missing = uncovered_intervals(footage, max(from_ms, camera.first_ms), until_ms)
    if not missing:
        return footage, []
    first, last = missing[0][0], missing[-1][1]
    # A hole at the range's start may have begun before it.
    began_ms = await footage_before(catalog, camera.id, first) or first
    reported = await reported_gaps(catalog, camera.id, first, last)
    ends = await run_ends(catalog, camera.id, began_ms - END_SLACK_MS, last + END_SLACK_MS)
    return footage, explain_gaps(missing, reported, ends, began_ms)


def _known_until(camera: RegisteredCamera, now_ms: int) -> int:
    """Return up to when missing footage is a gap: at the live edge it is only on its way."""
    assert camera.last_ms is not None
    ended = camera.run_ended_ms is not None and camera.run_ended_ms >= camera.last_ms - TOLERANCE_MS
    patience = RECORDING_MS if ended else LATE_MS
    return now_ms if now_ms - camera.last_ms > patience else camera.last_ms


def gap_json(gap: FootageGap) -> dict[str, Any]:
    """Return a gap as the API shows it."""
    return {"from_ms": gap.from_ms, "to_ms": gap.to_ms, "reason": gap.reason}


class TimelineView(View):
    """One camera's time at a glance."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/timeline"

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return footage, gaps, and the most objects a label had in one picture by bucket."""
        here = request.app[SERVICES]
        now_ms = here.clock_ms()
        stretch = parse_time_range(request, now_ms, longest_ms=LONGEST_MS)
        buckets = parse_int(request, "buckets", 600, 1, MAX_BUCKETS)
        model_filter = parse_model_filter(request)
        found = await require_camera(request)
        catalog = await here.catalog.get()
        footage, gaps = await coverage(catalog, found, stretch, now_ms)
        bucket_ms = bucket_length(stretch.from_ms, stretch.to_ms, buckets)
        seen = await detection_buckets(
            catalog, found.id, stretch.from_ms, stretch.to_ms, bucket_ms, model_filter=model_filter
        )
        body = {
            "from_ms": stretch.from_ms,
            "to_ms": stretch.to_ms,
            "bucket_ms": bucket_ms,
            "covered": footage,
            "gaps": [gap_json(gap) for gap in gaps],
            "detections": [
                {"at_ms": each.at_ms, "label": each.label, "count": each.count} for each in seen
            ],
        }
        response = web.json_response(body, headers={"Cache-Control": "no-store"})
        response.enable_compression()
        return response
