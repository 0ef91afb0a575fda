"""…/timeline: recorded time, gaps with their reasons, and counts of detections."""

from collections.abc import Iterable

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
from web.bodies import json_answer, parse_query
from web.gaps import END_SLACK_MS, explain_gaps, uncovered_intervals
from web.operations import Operation, describe
from web.query import DAY_MS, TimeRange
from web.schemas.common import GapItem
from web.schemas.footage import Timeline, TimelineQuery
from web.services import SERVICES, require_camera

LONGEST_MS = 31 * DAY_MS


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


def gap_answers(gaps: Iterable[FootageGap]) -> list[GapItem]:
    """Return gaps as the API shows them."""
    return [GapItem(from_ms=gap.from_ms, to_ms=gap.to_ms, reason=gap.reason) for gap in gaps]


class TimelineView(View):
    """Footage, gaps and detections of one camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/timeline"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "Get recorded time, gaps and counts of detections",
            description="A range of at most 31 days. The time without footage after the newest "
            "fragment becomes a gap only when the camera is late.",
            answer=Timeline,
            query=TimelineQuery,
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return footage, gaps, and for each bucket the most objects of a label in one frame."""
        services = request.app[SERVICES]
        now_ms = services.clock_ms()
        query = parse_query(request, TimelineQuery)
        span = query.span(now_ms, LONGEST_MS)
        model_filter = query.model_filter()
        catalog = await services.catalog.get()
        bucket_ms = bucket_length(span.from_ms, span.to_ms, query.buckets)
        async with catalog.together():
            found = await require_camera(request)
            footage, gaps = await coverage(catalog, found, span, now_ms)
            counts = await detection_buckets(
                catalog, found.id, span.from_ms, span.to_ms, bucket_ms, model_filter=model_filter
            )
        # One validation of all is much faster than a model for each bucket.
        answer = Timeline.model_validate(
            {
                "from_ms": span.from_ms,
                "to_ms": span.to_ms,
                "bucket_ms": bucket_ms,
                "covered": footage,
                "gaps": gap_answers(gaps),
                "detections": [
                    {"at_ms": each.at_ms, "label": each.label, "count": each.count}
                    for each in counts
                ],
            }
        )
        return json_answer(answer)
