"""Types of query parameters, and the parameters that several operations share."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema

from domain.errors import ConfigError
from domain.models import check_version
from stores.catalog.model_filter import CURRENT_MODELS, ModelFilter
from web.problems import bad_request
from web.query import (
    TimeRange,
    parse_decimal,
    parse_flag,
    parse_fraction,
    parse_time,
    parse_whole,
    time_range,
)
from web.schemas.base import ApiQuery


def _name(info: ValidationInfo) -> str:
    return (info.field_name or "").rstrip("_")


def _time(given: Any, info: ValidationInfo) -> Any:
    return parse_time(given, _name(info)) if isinstance(given, str) else given


def _flag(given: Any, info: ValidationInfo) -> Any:
    return parse_flag(given, _name(info)) if isinstance(given, str) else given


def _fraction(given: Any, info: ValidationInfo) -> Any:
    return parse_fraction(given, _name(info)) if isinstance(given, str) else given


Time = Annotated[
    int,
    BeforeValidator(_time),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": (1 << 48) - 1},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
"""UTC ms, or RFC 3339 with its zone."""

Flag = Annotated[
    bool, BeforeValidator(_flag), WithJsonSchema({"type": "integer", "enum": [0, 1], "default": 0})
]
"""1 or 0."""

Fraction = Annotated[
    float,
    BeforeValidator(_fraction),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]


def whole_number(low: int, high: int) -> Any:
    """Return the metadata of an int parameter: `Annotated[int, *whole_number(1, 9)]`."""

    def read(given: Any, info: ValidationInfo) -> Any:
        return parse_whole(given, _name(info), low, high) if isinstance(given, str) else given

    return (
        BeforeValidator(read),
        WithJsonSchema({"type": "integer", "minimum": low, "maximum": high}),
    )


def decimal_number(low: float, high: float) -> Any:
    """Return the metadata of a float parameter: `Annotated[float, *decimal_number(0, 1.5)]`."""

    def read(given: Any, info: ValidationInfo) -> Any:
        return parse_decimal(given, _name(info), low, high) if isinstance(given, str) else given

    return (
        BeforeValidator(read),
        WithJsonSchema({"type": "number", "minimum": low, "maximum": high}),
    )


class RangeQuery(ApiQuery):
    """A half-open range of time."""

    from_: Time = Field(
        alias="from",
        description="Start of the range (included): UTC ms, or RFC 3339 with its zone.",
    )
    to: Time | None = Field(
        None, description="End of the range (not included), as `from`. Default: now."
    )

    def span(self, now_ms: int, longest_ms: int) -> TimeRange:
        """Return the range; raise ProblemError (400) where it is empty or too long."""
        return time_range(self.from_, now_ms if self.to is None else self.to, longest_ms)


class ModelQuery(ApiQuery):
    """Which model's detections."""

    model: str | None = Field(
        None,
        max_length=100,
        description="Detections of this model instead of the current ones; `all`: of every model.",
    )
    version: str | None = Field(None, max_length=100, description="Only this version of `model`.")

    def model_filter(self) -> ModelFilter:
        """Return the filter; raise ProblemError (400)."""
        if self.model is None:
            if self.version is not None:
                raise bad_request("version: also name the model, such as model=people&version=2.")
            return CURRENT_MODELS
        if self.model == "all":
            if self.version is not None:
                raise bad_request("version: not with model=all. Name one model.")
            return ModelFilter(all_models=True)
        try:
            check_version(self.model, self.version if self.version is not None else "0")
        except ConfigError as error:
            raise bad_request(f"model: {error}") from None
        return ModelFilter(self.model, self.version)
