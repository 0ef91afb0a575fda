"""Commands from the cloud to devices."""

from typing import Annotated, Literal

from pydantic import Field

from domain.events.base import Event, Ms
from domain.identity import CAMERA_PATTERN, CameraId

DeviceId = Annotated[
    str,
    Field(pattern=CAMERA_PATTERN, max_length=191, description="tenant/site/device in slugs"),
]


class EdgeCommand(Event):
    """A device is asked for something. The link worker that holds its socket passes it on."""

    type: Literal["edge-command"] = "edge-command"
    device: DeviceId
    id: str = Field(
        pattern=r"^[0-9a-f]{32}$",
        max_length=32,
        description="names the command: the same id is done once",
    )
    kind: Literal[
        "snapshot", "live", "diagnostics", "restart-inference", "clock-check", "route-check"
    ] = Field(description="what the device is asked for")
    camera: CameraId | None = Field(None, description="of the device's site; absent: of no camera")
    feed: Literal["main", "sub"] | None = Field(
        None, description="which video of the camera, for live; absent: main"
    )
    relay: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="live: id of the link worker that relays it; absent: any",
    )
    switch: Literal["on", "off"] | None = Field(
        None, description="live: whether it is wanted; absent: it is"
    )
    sent_ms: Ms = Field(description="when it was given")
    deadline_ms: Ms = Field(description="an answer after it does not count")

    @property
    def key(self) -> str:
        """The device."""
        return self.device
