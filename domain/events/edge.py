"""The state of an edge device."""

from typing import Literal, TypeAlias

from pydantic import Field

from domain.events.base import Bytes, DurationMs, Event, EventPart, Ms
from domain.identity import SITE_PATTERN, CameraId

ClockState: TypeAlias = Literal["synchronised", "unsynchronised", "unknown"]


class CameraStatus(EventPart):
    """One camera as its edge sees it."""

    camera: CameraId
    state: Literal["recording", "connecting", "failing", "stopped"] = Field(
        description="state of its capture"
    )
    since_ms: Ms = Field(description="since when it has been in this state")
    detail: str = Field("", max_length=500, description="text of the last error, or empty")


class Temperature(EventPart):
    """A sensor of the device."""

    name: str = Field(min_length=1, max_length=100, description="name of the sensor in Linux")
    celsius: int = Field(
        ge=-100, le=250, description="temperature", json_schema_extra={"unit": "°C"}
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
        None, description="start of the oldest not yet uploaded; null: all are uploaded"
    )
    disk_free_bytes: Bytes = Field(description="free on the spool's disk")
    disk_state: (
        Literal["good", "full", "read-only", "gone", "swapped", "failing", "hanging"] | None
    ) = Field(None, description="state of the spool's disk; absent: unknown")
    disk_since_ms: Ms | None = Field(None, description="since when the disk has been in this state")
    given_up: int | None = Field(
        None, ge=0, lt=1 << 31, description="fragments given up since the program's start"
    )
    clock_state: ClockState | None = Field(
        None,
        description="whether the device's clock is synchronised, by its kernel; absent: unknown",
    )
    clock_error_ms: DurationMs | None = Field(
        None, description="largest error of a synchronised clock, estimated by its time service"
    )
    temperatures: list[Temperature] | None = Field(
        None, max_length=32, description="temperatures of the device that can be read"
    )
    config_version: int | None = Field(
        None, ge=1, lt=1 << 31,
        description="version of the site's configuration in use; absent: the device's own file",
    )  # fmt: skip
    config_state: Literal["current", "trying", "refused", "out-of-reach", "none"] | None = Field(
        None, description="state of the site's configuration; absent: the device does not use one"
    )
    config_detail: str | None = Field(None, max_length=500, description="text of the reason")
    cameras: list[CameraStatus] = Field(
        default_factory=list, max_length=256, description="each camera of the device"
    )

    @property
    def key(self) -> str:
        """The site."""
        return self.site
