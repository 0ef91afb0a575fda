"""The `upload` section: how fragments are uploaded from the spool."""

from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.time_of_day import TimeOfDay
from domain.zone_name import ZoneName
from edge_bridge.config.schedule import Schedule, TimeSlot

Kbit = Annotated[int, Field(ge=0, le=100_000_000)]


class TimeSlotConfig(BaseModel):
    """A part of each day with a bandwidth limit of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    begin: TimeOfDay = Field(alias="from", description="time of day at the site, such as 08:00")
    end: TimeOfDay = Field(
        alias="to", description="end of the slot; before `from`: on the next day"
    )
    kbit: Kbit = Field(
        description="limit, 1,000 bits a second; 0: fragments wait, messages are sent"
    )


class UploadConfig(BaseModel):
    """How fragments are uploaded from the spool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    concurrency: int = Field(4, ge=1, le=64, description="fragments uploaded at once, at the start")
    least_concurrency: int = Field(
        1, ge=1, le=64, description="lower bound of the adaptive concurrency"
    )
    most_concurrency: int = Field(
        16, ge=1, le=64, description="upper bound of the adaptive concurrency"
    )
    order: Literal["live", "oldest"] = Field("live", description="which fragment is uploaded next")
    live_s: int = Field(60, ge=10, le=3_600, description="footage younger than this is live")
    backlog_share: float = Field(
        0.2, ge=0, le=1, description="share of the bytes for older footage while both wait"
    )
    limit_kbit: int | None = Field(
        None, ge=8, le=100_000_000, description="limit, 1,000 bits a second; absent: no limit"
    )
    schedule: list[TimeSlotConfig] = Field(
        default_factory=list,
        max_length=50,
        description="limits by time of day; the first match counts",
    )
    time_zone: ZoneName = Field(
        "UTC", description="time zone of the schedule, such as Europe/Berlin"
    )
    flush_s: int = Field(5, ge=0, le=120, description="seconds to continue uploads during shutdown")

    @model_validator(mode="before")
    @classmethod
    def _bounds(cls, data: Any) -> Any:
        """Raise the default upper bound to `concurrency`."""
        if isinstance(data, dict) and isinstance(now := data.get("concurrency"), int):
            return {"most_concurrency": max(now, 16)} | data
        return data

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.least_concurrency <= self.concurrency <= self.most_concurrency:
            raise ValueError("concurrency must be between least_concurrency and most_concurrency")
        return self

    def bandwidth_schedule(self) -> Schedule:
        """Return the bandwidth limit by time of day."""
        slots = [TimeSlot(one.begin, one.end, one.kbit) for one in self.schedule]
        return Schedule(self.limit_kbit, slots, ZoneInfo(self.time_zone))
