"""…/runs: the capture sessions of a camera, with why each ended."""

from aiohttp import web
from faust.web import View

from domain.access import Permission
from stores.catalog.runs import find_runs
from web.access import on_camera
from web.bodies import json_answer, parse_query
from web.operations import Operation, describe
from web.pagination import page_of, parse_cursor
from web.query import DAY_MS
from web.schemas.runs import RunItem, Runs, RunsQuery
from web.services import SERVICES, require_camera

LONGEST_MS = 366 * DAY_MS


class RunsView(View):
    """The runs of one camera."""

    view_path = "/api/v1/cameras/{tenant}/{site}/{camera}/runs"
    access = on_camera(Permission.FOOTAGE_READ)
    operations = describe(
        get=Operation(
            "List the runs of a range",
            description="The runs that overlap a range of at most 366 days, by start.",
            answer=Runs,
            query=RunsQuery,
            tag="Timeline, chunks and detections",
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return a page of the runs."""
        services = request.app[SERVICES]
        query = parse_query(request, RunsQuery)
        span = query.span(services.clock_ms(), LONGEST_MS)
        place = parse_cursor(request, query, str)
        found = await require_camera(request)
        runs = await find_runs(
            await services.catalog.get(),
            found.id,
            span.from_ms,
            span.to_ms,
            after=None if place is None else str(place[0]),
            limit=query.limit + 1,
        )
        page, following = page_of(request, query, runs, lambda run: (run.run,))
        answer = Runs(
            runs=[
                RunItem(
                    run=run.run,
                    started_ms=run.started_ms,
                    ended_ms=run.ended_ms,
                    reason=run.reason,
                    last_seq=run.last_seq,
                    given_up=run.given_up,
                    edge=run.edge,
                    stream=run.stream,
                )
                for run in page
            ],
            next=following,
        )
        return json_answer(answer)
