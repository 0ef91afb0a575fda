"""The state of an edge device."""

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from domain.events.base import Bytes, DurationMs, Event, EventPart, Ms
from domain.identity import SITE_PATTERN, CameraId

ClockState: TypeAlias = Literal["synchronised", "unsynchronised", "unknown"]
ClockTrust: TypeAlias = Literal["agreed", "wrong", "unconfirmed"]
"""Whether a device's clock agrees with the cloud's, at the last answer of the devices' address."""
ReportedIdentity: TypeAlias = Literal["enrolled", "locked", "revoked", "expired", "damaged"]


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
    version: Literal[1, 2] = Field(  # type: ignore[assignment]
        1, description="version of this event's format; 2 where it reports the device's identity"
    )
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
    identity_state: ReportedIdentity | None = Field(
        None,
        description="state of the device's identity; only in version 2, as the next four fields; "
        "absent: it is not enrolled",
    )
    identity_generation: int | None = Field(
        None, ge=1, lt=1 << 31, description="of its newest certificate; absent: it has none"
    )
    identity_renew_ms: Ms | None = Field(
        None, description="middle of that certificate's life: it is to be renewed from then on"
    )
    identity_expires_ms: Ms | None = Field(None, description="end of that certificate's life")
    clock_trust: ClockTrust | None = Field(
        None,
        description="whether the device's clock agrees with the cloud's within 5 minutes, at the "
        "last answer of the devices' address",
    )
    cameras: list[CameraStatus] = Field(
        default_factory=list, max_length=256, description="each camera of the device"
    )

    @model_validator(mode="after")
    def _reports_identity_in_version_2(self) -> Self:
        reported = (
            self.identity_state,
            self.identity_generation,
            self.identity_renew_ms,
            self.identity_expires_ms,
            self.clock_trust,
        )
        if self.version == 1 and any(value is not None for value in reported):
            raise ValueError("identity_state and the fields with it need version 2")
        return self

    @property
    def key(self) -> str:
        """The site."""
        return self.site
