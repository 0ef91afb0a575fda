"""Detected objects."""

from typing import Annotated

from pydantic import Field

from web.schemas.base import ApiAnswer
from web.schemas.common import RunText, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Fraction, ModelQuery, RangeQuery, whole_number


class DetectionsQuery(RangeQuery, ModelQuery, PageQuery):
    """A range of at most 25 hours."""

    label: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        (), max_length=100, description="Only these labels; may be repeated."
    )
    min_score: Fraction = Field(0.0, description="Only detections of at least this score.")
    limit: Annotated[int, *whole_number(1, 5_000)] = Field(
        1_000, description="The most entries of a page."
    )


class DetectionItem(ApiAnswer):
    """One object in one frame."""

    at_ms: UtcMs = Field(description="Time of the frame.")
    run: RunText
    pts: int = Field(
        description="Time of the frame in its run.",
        json_schema_extra={"format": "int64", "unit": "1/90000 s"},
    )
    index: int = Field(ge=0, description="Its number among the objects of the frame.")
    model: str = Field(description="The model that detected it.")
    model_version: str = Field(description="The model's version.")
    label: str = Field(description="What it is, such as `person`.")
    score: float = Field(description="How sure the model is, 0 to 1.")
    box: tuple[float, float, float, float] = Field(
        description="[x, y, width, height] in fractions of the frame, from its top left."
    )
    track: str | None = Field(
        description="Objects with the same track are one object in successive frames."
    )


class Detections(PageAnswer):
    """A page of detections, by time."""

    detections: list[DetectionItem]
