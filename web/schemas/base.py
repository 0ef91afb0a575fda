"""The three kinds of models: queries, request bodies, answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class ApiQuery(BaseModel):
    """Query parameters of an operation. Unknown parameters are ignored.

    Parse it with `web.bodies.parse_query`.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class ApiRequest(BaseModel):
    """The body of a request. An unknown field is an error, and nothing is converted.

    Read it with `web.bodies.read_json`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def _open(schema: dict[str, Any]) -> None:
    """Let later versions add fields: clients ignore what they do not know."""
    schema.pop("additionalProperties", None)


class ApiAnswer(BaseModel):
    """The body of an answer: every field is always there; one without a value is null.

    Send it with `web.bodies.json_answer`.
    """

    model_config = ConfigDict(
        extra="forbid",  # a mistyped name in the code
        frozen=True,
        populate_by_name=True,
        json_schema_extra=_open,
        json_schema_serialization_defaults_required=True,
    )
