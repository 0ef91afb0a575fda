"""What can go wrong: one class for each kind of problem (RFC 9457)."""

import json
from collections.abc import Mapping
from typing import Any

_KNOWN = frozenset({"type", "title", "status", "detail"})


class VigilClientError(Exception):
    """Root of all errors of this client."""


class UnreachableError(VigilClientError):
    """The server did not answer, or its answer was cut off."""


class ProblemError(VigilClientError):
    """The server did not carry out a request, and says why."""

    def __init__(self, status: int, fields: Mapping[str, Any], retry_after_s: float | None) -> None:
        self.status = status
        self.type = str(fields.get("type", "about:blank"))
        self.title = str(fields.get("title", ""))
        self.detail = str(fields.get("detail", ""))
        self.members = {name: value for name, value in fields.items() if name not in _KNOWN}
        """More of it, such as `errors` of a body, or `current` of what was changed."""
        self.retry_after_s = retry_after_s
        super().__init__(self.detail or self.title or f"status {status}")

    @property
    def kind(self) -> str:
        """Return the name of the kind: the end of `type`, such as `not-found`."""
        return self.type.rpartition("/")[2]


class InvalidRequestError(ProblemError):
    """400, 415, 422: the request is wrong."""


class UnauthorizedError(ProblemError):
    """401: the key is not valid."""


class ForbiddenError(ProblemError):
    """403: a permission is missing."""


class NotFoundError(ProblemError):
    """404: it does not exist, or the key's grants do not cover it."""


class ConflictError(ProblemError):
    """409: the state of the resource does not allow it."""


class PreconditionFailedError(ProblemError):
    """412, 428: somebody changed it, or no ETag was sent."""


class TooManyRequestsError(ProblemError):
    """429: wait."""


class ServerError(ProblemError):
    """5xx: the server's fault."""


class UnavailableError(ServerError):
    """503: try again."""


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    428: PreconditionFailedError,
    429: TooManyRequestsError,
    503: UnavailableError,
}


def problem_of(status: int, body: bytes, retry_after: str | None) -> ProblemError:
    """Return the error of a response; other bodies make one too."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        fields = {"title": f"The server answered {status}"}
    general = ServerError if status >= 500 else ProblemError
    wait = float(retry_after) if retry_after and retry_after.isdigit() else None
    return _BY_STATUS.get(status, general)(status, fields, wait)
