"""How an edge device fares."""

from typing import Literal

from pydantic import Field

from domain.events.base import Bytes, Event, Ms, Part
from domain.identity import SITE_PATTERN, CameraId


class CameraStatus(Part):
    """One camera as its edge sees it."""

    camera: CameraId
    state: Literal["recording", "connecting", "failing", "stopped"] = Field(
        description="what its capture does"
    )
    since_ms: Ms = Field(description="since when it has been so")
    detail: str = Field("", max_length=500, description="the last error in words, or nothing")


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
    cameras: list[CameraStatus] = Field(
        default_factory=list, max_length=256, description="each camera of the device"
    )

    @property
    def key(self) -> str:
        """The site."""
        return self.site
