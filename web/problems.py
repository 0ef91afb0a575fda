"""Error responses: problem details, application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from domain.errors import VigilError

CONTENT_TYPE = "application/problem+json"


class ProblemError(VigilError):
    """A request that gets an error response; `detail` says why, for the person who sent it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def bad_request(detail: str) -> ProblemError:
    """Return the problem of an invalid request (400)."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def not_found(detail: str) -> ProblemError:
    """Return the problem of something that does not exist (404)."""
    return ProblemError(HTTPStatus.NOT_FOUND, detail)


def problem_response(problem: ProblemError) -> web.Response:
    """Return the problem as a response."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    return web.Response(
        status=problem.status,
        body=json.dumps(body).encode(),
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )
