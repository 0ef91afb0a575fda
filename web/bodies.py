"""Queries, request bodies and answers by their models: what a client sends wrong is a 400."""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from web.problems import ProblemError, bad_request
from web.query import read_body
from web.schemas.base import ApiAnswer, ApiQuery, ApiRequest

MAX_BODY = 64 << 10
MAX_ERRORS = 20
"""Wrong fields of one body that a problem names."""
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store"}

Query = TypeVar("Query", bound=ApiQuery)
Body = TypeVar("Body", bound=ApiRequest)


def parse_query(request: web.Request, model: type[Query]) -> Query:
    """Return the query parameters by their model; raise ProblemError (400)."""
    given = request.query
    values: dict[str, Any] = {}
    for name, is_list in _parameters(model):
        if name in given:
            values[name] = given.getall(name) if is_list else given[name]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise bad_request(_parameter_text(model, first), "invalid-parameter") from None


async def read_json(request: web.Request, model: type[Body], max_bytes: int = MAX_BODY) -> Body:
    """Return the JSON body by its model; raise ProblemError (400) that names each wrong field."""
    body = await read_body(request, max_bytes)
    if b"\0" in body or b"\\u0000" in body:
        raise bad_request("The body holds a NUL character, which is not text.", "invalid-body")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        wrong = [
            {"pointer": _pointer(each["loc"]), "detail": _sentence(each["msg"])}
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ][:MAX_ERRORS]
        # People read `detail`, programs read `errors`.
        detail = f"{wrong[0]['pointer'].lstrip('#/') or 'The body'}: {wrong[0]['detail']}"
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, detail, kind="invalid-body", members={"errors": wrong}
        ) from None


def json_answer(
    answer: ApiAnswer,
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] = NO_STORE,
) -> web.Response:
    """Return the answer as JSON."""
    return web.Response(
        status=status,
        body=answer.model_dump_json(by_alias=True).encode(),
        content_type="application/json",
        charset="utf-8",
        headers=headers,
    )


@cache
def _parameters(model: type[BaseModel]) -> tuple[tuple[str, bool], ...]:
    """Return the names of a query's parameters, and whether each may be repeated."""
    schema = model.model_json_schema(by_alias=True)
    return tuple((name, field.get("type") == "array") for name, field in _fields(schema))


def _fields(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(schema.get("properties", {}).items())


def _parameter_text(model: type[BaseModel], error: Any) -> str:
    """Return what is wrong with a parameter, and what to send instead."""
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "missing":
        return f"{name}: missing."
    text = f"{error['msg'].removeprefix('Value error, ')}"
    given = error["input"]
    shown = f" not {given[:60]!r}" if isinstance(given, str) else ""
    return f"{name}: {text};{shown}." if shown else f"{name}: {text}."


def _sentence(message: str) -> str:
    """Return pydantic's message, or that of a rule of our own, as a sentence."""
    return f"{message.removeprefix('Value error, ').removesuffix('.')}."


def _pointer(location: tuple[int | str, ...]) -> str:
    """Return a JSON pointer (RFC 6901) as a fragment: #/grants/0."""
    parts = (str(part).replace("~", "~0").replace("/", "~1")[:60] for part in location)
    return "".join(["#", *(f"/{part}" for part in parts)])
