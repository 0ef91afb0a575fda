"""Runs of a camera."""

from pydantic import Field

from web.schemas.base import ApiAnswer
from web.schemas.common import RunText, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import RangeQuery


class RunItem(ApiAnswer):
    """The unbroken recording of one capture session."""

    run: RunText
    started_ms: UtcMs = Field(description="Time of its first picture.")
    ended_ms: UtcMs | None = Field(
        description="End of its last fragment; null: it records, or its end is not known."
    )
    reason: str | None = Field(description="Why it ended; null while `ended_ms` is.")
    last_seq: int | None = Field(
        description="Number of its last fragment, -1: it has none; null while `ended_ms` is."
    )
    given_up: int = Field(
        ge=0,
        description="Fragments that the device deleted before they were uploaded: its disk was "
        "full.",
    )
    edge: str | None = Field(description="The device that recorded it, where that is known.")
    stream: str | None = Field(description="`main` or `sub`, where that is known.")


class RunsQuery(RangeQuery, PageQuery):
    """Runs that overlap a range."""


class Runs(PageAnswer):
    """A page of runs, by start."""

    runs: list[RunItem]
