"""Events of a stream: what `data` holds, by the event's name."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas.base import ApiAnswer, ApiQuery
from web.schemas.common import RunText, UtcMs

Kind = Literal["detection", "camera", "device", "footage"]
_Id = Annotated[str, Field(max_length=200)]


class EventsQuery(ApiQuery):
    """Which events are sent. Filters are added up: cameras, and all cameras of sites."""

    kind: tuple[Kind, ...] = Field(
        (),
        max_length=4,
        description="Only these; may be repeated. Absent: all but `footage`, which is frequent.",
    )
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
    label: str = Field(description="What it is, such as `person`.")
    score: float = Field(description="How sure the model is, 0 to 1.")
    box: tuple[float, float, float, float] = Field(
        description="[x, y, width, height] in fractions of the frame, from its top left."
    )
    track: str | None = Field(
        description="Objects with the same track are one object in successive frames."
    )


class DetectionEvent(ApiAnswer):
    """`detection`: at most 200 objects of one run and model, each sent once."""

    camera: str = Field(description="tenant/site/camera")
    run: RunText
    model: str = Field(description="The model that detected them.")
    model_version: str = Field(description="The model's version.")
    detections: list[StreamedObject]


class StreamedCamera(ApiAnswer):
    """The state of a camera."""

    id: str = Field(description="tenant/site/camera")
    state: Literal["new", "recording", "late", "offline", "removed"] = Field(
        description="As of a camera; `removed`: not registered any more."
    )
    since_ms: UtcMs = Field(description="Since when it is in this state.")
    last_ms: UtcMs | None = Field(description="End of its newest footage.")
    retired_ms: UtcMs | None = Field(
        description="When it was taken out of use; null while it is in use."
    )
    two_recorders: bool = Field(description="Whether two devices record it at once.")


class CameraEvent(ApiAnswer):
    """`camera`: all cameras at the beginning, later those whose state changed."""

    now_ms: UtcMs = Field(description="Time of the event.")
    cameras: list[StreamedCamera]


class NewestFootage(ApiAnswer):
    """How far the footage of a camera reaches."""

    id: str = Field(description="tenant/site/camera")
    last_ms: UtcMs | None = Field(description="End of its newest footage.")


class FootageEvent(ApiAnswer):
    """`footage`: cameras that have newer footage, every few seconds."""

    now_ms: UtcMs = Field(description="Time of the event.")
    cameras: list[NewestFootage]


class DeviceCamera(ApiAnswer):
    """A camera as its device sees it."""

    camera: str | None = Field(description="tenant/site/camera; null: not reported.")
    state: str | None = Field(description="State of its capture.")
    detail: str | None = Field(description="Text of the last error.")


class StreamedDevice(ApiAnswer):
    """The state of an edge device."""

    site: str = Field(description="tenant/site")
    edge: str = Field(description="The device's name.")
    state: Literal["ok", "silent", "removed"] = Field(
        description="`silent`: no heartbeat for `edge_silent_ms`; `removed`: not known any more."
    )
    heard_ms: UtcMs = Field(description="When its newest heartbeat arrived.")
    software: str = Field(description="Version of its software.")
    spool_waiting: int = Field(description="Fragments not yet uploaded.")
    disk_free_bytes: int = Field(description="Free on the disk of the fragments, bytes.")
    disk_low: bool = Field(description="Whether that disk is nearly full.")
    config_version: int | None = Field(
        description="Version of the site's configuration in use; null: the device's own file."
    )
    config_state: str | None = Field(description="State of the site's configuration.")
    config_detail: str | None = Field(description="Why, in words.")
    clock_state: str | None = Field(
        description="Whether its clock is synchronised; null: not reported."
    )
    cameras: list[DeviceCamera]


class DeviceEvent(ApiAnswer):
    """`device`: all devices at the beginning, later those whose state changed."""

    now_ms: UtcMs = Field(description="Time of the event.")
    devices: list[StreamedDevice]


class LostEvent(ApiAnswer):
    """`lost`: detections between the event before and this one are not sent."""

    reason: str = Field(description="Why they are not sent.")


class EndEvent(ApiAnswer):
    """`end`: the server closes the stream. Connect again with the last id."""

    reason: Literal["restart", "signed-out", "not-allowed", "rights-changed", "unchecked"] = Field(
        description="Why the stream ends."
    )


class HeartbeatEvent(ApiAnswer):
    """`heartbeat`: nothing happened for 15 s."""

    now_ms: UtcMs = Field(description="Time of the event.")


EVENT_MODELS = (
    DetectionEvent,
    CameraEvent,
    DeviceEvent,
    FootageEvent,
    LostEvent,
    HeartbeatEvent,
    EndEvent,
)
"""Of the events of a stream."""
