"""How an edge device fares."""

from typing import Literal, TypeAlias

from pydantic import Field

from domain.events.base import Bytes, DurationMs, Event, Ms, Part
from domain.identity import SITE_PATTERN, CameraId

ClockState: TypeAlias = Literal["synchronised", "unsynchronised", "unknown"]


class CameraStatus(Part):
    """One camera as its edge sees it."""

    camera: CameraId
    state: Literal["recording", "connecting", "failing", "stopped"] = Field(
        description="what its capture does"
    )
    since_ms: Ms = Field(description="since when it has been so")
    detail: str = Field("", max_length=500, description="the last error in words, or nothing")


class Temperature(Part):
    """A sensor of the device."""

    name: str = Field(min_length=1, max_length=100, description="the sensor, as Linux names it")
    celsius: int = Field(
        ge=-100, le=250, description="how warm it is", json_schema_extra={"unit": "°C"}
    )


class Heartbeat(Event):
    """An edge device is alive."""

    type: Literal["heartbeat"] = "heartbeat"
    site: str = Field(pattern=SITE_PATTERN, max_length=127, description="tenant/site")
    edge: str = Field(min_length=1, max_length=100, description="name of the device")
    sent_ms: Ms = Field(description="edge's clock when it was sent")
    software: str = Field("", max_length=50, description="version of the edge's program")
    spool_bytes: Bytes = Field(description="fragments on the edge's disk")
    spool_waiting: int = Field(ge=0, lt=1 << 31, description="fragments not yet uploaded")
    spool_oldest_ms: Ms | None = Field(
        None, description="start of the oldest not yet uploaded; null: all are"
    )
    disk_free_bytes: Bytes = Field(description="free on the spool's disk")
    disk_state: (
        Literal["good", "full", "read-only", "gone", "swapped", "failing", "hanging"] | None
    ) = Field(None, description="how the spool's disk fares; absent: not told")
    disk_since_ms: Ms | None = Field(None, description="since when the disk has been so")
    given_up: int | None = Field(
        None, ge=0, lt=1 << 31, description="fragments given up since the program's start"
    )
    clock_state: ClockState | None = Field(
        None,
        description="whether the device's clock is kept, as its kernel tells; absent: not told",
    )
    clock_error_ms: DurationMs | None = Field(
        None, description="the most that a synchronised clock is wrong by, as who keeps it reckons"
    )
    temperatures: list[Temperature] | None = Field(
        None, max_length=32, description="of the device, where it can be read"
    )
    config_version: int | None = Field(
        None, ge=1, lt=1 << 31,
        description="version of the site's configuration in force; absent: the device's own file",
    )  # fmt: skip
    config_state: Literal["current", "trying", "refused", "out-of-reach", "none"] | None = Field(
        None, description="how the site's configuration fares; absent: the device asks for none"
    )
    config_detail: str | None = Field(None, max_length=500, description="why, in words")
    cameras: list[CameraStatus] = Field(
        default_factory=list, max_length=256, description="each camera of the device"
    )

    @property
    def key(self) -> str:
        """The site."""
        return self.site
