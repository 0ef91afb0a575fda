"""Events of a stream: what `data` holds, by the event's name."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.common import RunText, UtcMs

Kind = Literal["detection", "camera", "device"]
_Id = Annotated[str, Field(max_length=200)]


class EventsQuery(ApiQuery):
    """Which events are sent. Filters are added up: cameras, and all cameras of sites."""

    kind: tuple[Kind, ...] = Field((), max_length=3, description="Only these; may be repeated.")
    camera: tuple[_Id, ...] = Field(
        (), max_length=200, description="Only these cameras; may be repeated."
    )
    site: tuple[_Id, ...] = Field(
        (), max_length=200, description="Only these sites; may be repeated."
    )
    last_event_id: str | None = Field(
        None,
        max_length=200,
        description="As the header Last-Event-ID, which counts where both are given.",
    )


class StreamedObject(ApiAnswer):
    """One object in one frame."""

    at_ms: UtcMs = Field(description="Time of the frame.")
    pts: int = Field(description="Time of the frame in its run, 1/90000 s.")
    index: int = Field(ge=0, description="Its number among the objects of the frame.")
    label: str
    score: float
    box: tuple[float, float, float, float] = Field(
        description="[x, y, width, height] in fractions of the frame, from its top left."
    )
    track: str | None


class DetectionEvent(ApiAnswer):
    """`detection`: at most 200 objects of one run and model, each sent once."""

    camera: str
    run: RunText
    model: str
    model_version: str
    detections: list[StreamedObject]


class StreamedCamera(ApiAnswer):
    """The state of a camera."""

    id: str
    state: Literal["new", "recording", "late", "offline", "removed"]
    since_ms: UtcMs
    last_ms: UtcMs | None = Field(description="End of its newest footage.")
    retired_ms: UtcMs | None
    two_recorders: bool


class CameraEvent(ApiAnswer):
    """`camera`: all cameras at the beginning, later those whose state changed."""

    now_ms: UtcMs
    cameras: list[StreamedCamera]


class DeviceCamera(ApiAnswer):
    """A camera as its device sees it."""

    camera: str | None
    state: str | None
    detail: str | None


class StreamedDevice(ApiAnswer):
    """The state of an edge device."""

    site: str
    edge: str
    state: Literal["ok", "silent", "removed"]
    heard_ms: UtcMs
    software: str
    spool_waiting: int
    disk_free_bytes: int
    disk_low: bool
    config_version: int | None
    config_state: str | None
    config_detail: str | None
    clock_state: str | None
    cameras: list[DeviceCamera]


class DeviceEvent(ApiAnswer):
    """`device`: all devices at the beginning, later those whose state changed."""

    now_ms: UtcMs
    devices: list[StreamedDevice]


class LostEvent(ApiAnswer):
    """`lost`: detections between the event before and this one are not sent."""

    reason: str


class EndEvent(ApiAnswer):
    """`end`: the server closes the stream. Connect again with the last id."""

    reason: Literal["restart", "signed-out", "not-allowed", "rights-changed", "unchecked"]


class HeartbeatEvent(ApiAnswer):
    """`heartbeat`: nothing happened for 15 s."""

    now_ms: UtcMs


EVENT_MODELS = (DetectionEvent, CameraEvent, DeviceEvent, LostEvent, HeartbeatEvent, EndEvent)
"""Of the events of a stream."""
