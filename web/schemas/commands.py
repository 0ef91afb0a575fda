"""Commands to edge devices, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from domain.identity import CAMERA_PATTERN
from web.schemas.base import ApiAnswer, ApiQuery, ApiRequest
from web.schemas.common import Bytes, CameraText, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import whole_number

Kind = Literal["snapshot", "live", "diagnostics", "restart-inference", "clock-check", "route-check"]
PeopleKind = Literal["snapshot", "diagnostics", "restart-inference", "clock-check", "route-check"]

MAX_WAIT_S = 30


class NewCommand(ApiRequest):
    """What a device is asked for."""

    kind: PeopleKind = Field(
        description="snapshot: a JPEG of a camera now; diagnostics: a bundle without secrets; "
        "restart-inference: load the model again; clock-check and route-check: in words"
    )
    camera: str | None = Field(
        None,
        max_length=191,
        pattern=CAMERA_PATTERN,
        description="tenant/site/camera of the device's site: for snapshot only",
    )


class CommandItem(ApiAnswer):
    """A command to a device, and its answer."""

    id: str = Field(description="Its id.", json_schema_extra={"pattern": "^[0-9a-f]{32}$"})
    device: str = Field(
        description="tenant/site/device", json_schema_extra={"pattern": CAMERA_PATTERN}
    )
    kind: Kind = Field(description="What the device was asked for.")
    camera: CameraText | None = Field(description="tenant/site/camera; null: of no camera.")
    sent_by: str = Field(description="Who gave it.")
    sent_ms: UtcMs = Field(description="When it was given.")
    deadline_ms: UtcMs = Field(description="An answer after it does not count.")
    state: Literal["sent", "answered", "failed", "expired"] = Field(
        description="sent: it waits for its answer; failed: the device says why in `detail`; "
        "expired: there was no answer in time. Only `sent` changes."
    )
    done_ms: UtcMs | None = Field(description="Since when the state is final; null: it is not.")
    detail: str = Field(description="The answer, or why there is none, in words.")
    result: dict[str, Any] | None = Field(
        description="The answer's values, by kind; null: it has none."
    )
    body_type: str | None = Field(
        description="Media type of the answer's picture or bundle; null: it has none."
    )
    body_bytes: Bytes | None = Field(
        description="Its size; null: there is none, or no more. It is kept for an hour."
    )


class Commands(PageAnswer):
    """A page of a device's commands, the newest first."""

    commands: list[CommandItem]


class CommandsQuery(PageQuery):
    """Which page."""


class CommandQuery(ApiQuery):
    """Whether to wait for the answer."""

    wait: Annotated[int, *whole_number(0, MAX_WAIT_S)] = Field(
        0, description="Wait so many seconds for the answer, where there is none yet."
    )
