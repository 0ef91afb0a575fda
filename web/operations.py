"""What each operation of the API takes and answers. The OpenAPI document is made from it.

    class CamerasView(View):
        view_path = "/api/v1/cameras"
        access = in_list(Permission.CAMERA_VIEW)
        operations = describe(
            get=Operation("List the cameras in use", answer=Cameras, query=CamerasQuery),
            post=Operation("Register a camera", body=NewCamera, answer=Camera, status=201),
        )

A test walks all views: each method that a view handles needs an operation. What follows from
`access`, from the path and from the body is added by web/openapi.py: security, path parameters,
and the problems 400, 401, 403, 404, 408, 415 and 503.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from domain.errors import ConfigError
from web.deprecation import Deprecation
from web.schemas.base import ApiAnswer, ApiQuery, ApiRequest

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class MediaBody:
    """A body that is not JSON by a model."""

    media_type: str
    description: str
    is_text: bool = False
    models: tuple[type[BaseModel], ...] = ()
    """Of the lines or events, for a stream of JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path."""

    summary: str
    """An act, such as "List the cameras in use"; no full stop."""
    answer: type[ApiAnswer] | MediaBody | None = None
    """The body of the answer that succeeds. None: it has none."""
    query: type[ApiQuery] | None = None
    body: type[ApiRequest] | None = None
    status: int = 0
    """Of the answer that succeeds; 0: 200, and 204 without a body."""
    others: Mapping[int, str | type[ApiAnswer] | MediaBody] = field(default_factory=dict)
    """Further answers that are no problems, such as 304 with a sentence that says when."""
    problems: Mapping[int, str] = field(default_factory=dict)
    """Further problems by status, such as 409, and when they occur."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the request that it knows, such as If-Match, with what they do."""
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the answer, such as ETag, with what they say."""
    description: str = ""
    """Whole sentences, in Markdown."""
    tag: str = ""
    """Its chapter in the reference. Empty: by the path."""
    deprecated: Deprecation | None = None

    @property
    def success(self) -> int:
        """Return the status of the answer that succeeds."""
        return self.status or (204 if self.answer is None else 200)


Operations = Mapping[str, Operation]
"""By method, in lower case."""

UNDESCRIBED: Operations = MappingProxyType({})
"""Of a view that is not part of the API: the dashboard's files."""


def describe(**by_method: Operation) -> Operations:
    """Return the operations of a view by method: get, post, put, patch, delete."""
    unknown = set(by_method) - set(METHODS)
    if unknown:
        raise ConfigError(f"These are not methods: {', '.join(sorted(unknown))}.")
    return MappingProxyType(by_method)


def operations_of(view: type[Any]) -> Operations:
    """Return the operations of a view; raise ConfigError where one is missing or has no handler."""
    declared: Operations | None = vars(view).get("operations")
    if declared is None:
        raise ConfigError(
            f"The view {view.__name__} ({view.view_path}) describes no operations. "
            "Use `operations = describe(get=Operation(...))`."
        )
    if declared is UNDESCRIBED:
        return declared
    handled = {method for method in METHODS if method in vars(view)}
    if missing := sorted(handled - set(declared)):
        raise ConfigError(f"The view {view.__name__} does not describe: {', '.join(missing)}.")
    if absent := sorted(set(declared) - handled):
        raise ConfigError(f"The view {view.__name__} does not handle: {', '.join(absent)}.")
    return declared


def operation_table(views: Iterable[type[Any]]) -> dict[str, Operations]:
    """Return the operations of all views by path, without the undescribed ones."""
    table = {view.view_path: operations_of(view) for view in views}
    return {path: operations for path, operations in table.items() if operations}
