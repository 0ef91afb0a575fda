"""Error responses: problem details, application/problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from domain.errors import VigilError
from stores.http_server import PROBLEM_TYPE, problem_body
from streams.request_context import current_request_id
from web.problem_kinds import BY_NAME, kind_of


class ProblemError(VigilError):
    """A request that gets an error response; `detail` says why, for the person who sent it.

    `kind` is the name of a kind in web/problem_kinds.py; without one, the general one of the
    status. `members` are what programs need besides, such as the current ETag.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.kind = kind_of(status) if kind is None else BY_NAME[kind]
        self.members = dict(members or {})


def bad_request(detail: str, kind: str = "bad-request") -> ProblemError:
    """Return the problem of an invalid request (400)."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail, kind=kind)


def not_found(detail: str) -> ProblemError:
    """Return the problem of something that does not exist (404)."""
    return ProblemError(HTTPStatus.NOT_FOUND, detail)


def problem_response(problem: ProblemError) -> web.Response:
    """Return the problem as a response, with the id of the request that is answered."""
    kind, request_id = problem.kind, current_request_id()
    named = {} if request_id is None else {"request_id": request_id}
    return web.Response(
        status=problem.status,
        body=problem_body(
            problem.status,
            problem.detail,
            {**problem.members, **named},
            None if kind is None else (kind.uri, kind.title),
        ),
        content_type=PROBLEM_TYPE,
        headers={"Cache-Control": "no-store", **problem.headers},
    )
