"""Cameras and their states."""

from typing import Annotated

from pydantic import Field

from domain.camera_state import CameraState
from web.schemas.base import ApiAnswer
from web.schemas.common import Bytes, CameraText, Ms, UtcMs
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Flag, whole_number


class LimitsItem(ApiAnswer):
    """From which age or size on something is late, silent or full. Clients need no own numbers."""

    recording_ms: Ms = Field(description="Newest footage of at most this age: `recording`.")
    late_ms: Ms = Field(
        description="Of at most this age: `late`; older: `offline`. Footage that waits longer on "
        "a device is late too."
    )
    edge_silent_ms: Ms = Field(
        description="An edge device without a heartbeat for longer is silent."
    )
    disk_low_bytes: Bytes = Field(
        description="An edge device with less free space has a nearly full disk."
    )


class LabelCount(ApiAnswer):
    """A label that was detected lately."""

    label: str = Field(description="What was detected, such as `person`.")
    count: int = Field(ge=0, description="The most objects of the label in one frame.")


class CameraItem(ApiAnswer):
    """A registered camera."""

    id: CameraText = Field(description="tenant/site/camera")
    tenant: str = Field(description="First part of the id.")
    site: str = Field(description="Second part of the id.")
    camera: str = Field(description="Third part of the id.")
    name: str = Field(description="Shown to people.")
    state: CameraState = Field(
        description="By the age of the newest footage, see `limits`; `new`: none yet."
    )
    since_ms: UtcMs = Field(
        description="recording: start of the run; late, offline: end of the newest footage; new: "
        "when it was registered."
    )
    two_recorders: bool = Field(
        description="Whether two devices record it at once. One of them is shown live; recorded "
        "playlists list each moment once."
    )
    first_ms: UtcMs | None = Field(description="Start of the oldest footage; null: none.")
    last_ms: UtcMs | None = Field(description="End of the newest footage; null: none.")
    retired_ms: UtcMs | None = Field(
        description="When it was taken out of use; null while it is in use."
    )
    width: int | None = Field(description="Pixels of the newest footage; null: none.")
    height: int | None = Field(description="Pixels of the newest footage; null: none.")
    labels_recent: list[LabelCount] = Field(
        description="What was detected in the last 5 minutes, the highest count first."
    )


class CamerasQuery(PageQuery):
    """Which cameras."""

    retired: Flag = Field(False, description="1: also those that are no longer in use.")
    limit: Annotated[int, *whole_number(1, 5_000)] = Field(
        5_000, description="The most entries of a page."
    )


class Cameras(PageAnswer):
    """A page of cameras, by id."""

    now_ms: UtcMs = Field(description="Time of the answer; ages are measured from it.")
    limits: LimitsItem
    cameras: list[CameraItem]
