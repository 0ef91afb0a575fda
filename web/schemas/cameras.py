"""Cameras and their states."""

from typing import Annotated

from pydantic import AfterValidator, Field

from domain.camera_state import CameraState
from domain.identity import CAMERA_PATTERN, check_camera
from web.schemas.base import ApiAnswer, ApiRequest
from web.schemas.common import Bytes, CameraText, Ms, UtcMs
from web.schemas.editable import DisplayName
from web.schemas.pages import PageAnswer, PageQuery
from web.schemas.parameters import Flag, whole_number

NewCameraId = Annotated[
    str,
    Field(
        max_length=191,
        description="tenant/site/camera",
        json_schema_extra={"pattern": CAMERA_PATTERN},
    ),
    AfterValidator(check_camera),
]


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
        description="When it was taken out of use; null while it is in use. Newer footage brings "
        "it back."
    )
    disabled_ms: UtcMs | None = Field(
        description="Since when it is not to be recorded; null: it is. A device that follows its "
        "site's configuration in the catalog stops recording it. Any other must be changed itself."
    )
    etag: str = Field(
        description="Of its name and of whether it is disabled or retired: `If-Match` of a change."
    )
    width: int | None = Field(description="Pixels of the newest footage; null: none.")
    height: int | None = Field(description="Pixels of the newest footage; null: none.")
    labels_recent: list[LabelCount] = Field(
        description="What was detected in the last 5 minutes, the highest count first."
    )


class NewCamera(ApiRequest):
    """A camera to register. Its site and tenant are created with it where they are missing."""

    id: NewCameraId
    name: DisplayName


class CameraChange(ApiRequest):
    """What changes of a camera. What is absent stays as it is."""

    name: DisplayName | None = Field(None, description="The new name.")
    disabled: bool | None = Field(None, description="Whether it is not to be recorded.")
    retired: bool | None = Field(
        None, description="Whether it is out of use: hidden from lists, its footage is kept."
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
