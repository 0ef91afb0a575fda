"""What a device's update agent and the devices' address say to each other: POST /device/v1/update.

One exchange for each poll: the device reports, the answer says what is wanted. Both have a format
number and ignore keys that they do not know: an agent and a centre may be two versions apart.
"""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from domain.events.base import Ms
from domain.fleet.release import (
    HARDWARE,
    IMAGE,
    MAX_NUMBER,
    MAX_TEXT_BYTES,
    ReleaseSignature,
    SignedRelease,
)
from domain.site_file.model import MaintenanceWindow
from domain.zone_name import ZoneName

UPDATE_PATH = "/device/v1/update"
FORMAT = 1

DeviceUpdateState = Literal[
    "pending",
    "waiting",
    "downloading",
    "installing",
    "checking",
    "succeeded",
    "returned",
    "failed",
    "refused",
]
"""Of one device's update. `pending`: it has not heard of it. `waiting`: for its window or lock.
`returned`: the old version runs again. `refused`: nothing was changed."""
ENDED: frozenset[DeviceUpdateState] = frozenset(("succeeded", "returned", "failed", "refused"))
BEGUN: frozenset[DeviceUpdateState] = ENDED | {"installing", "checking"}
"""The device was or is changed, or refused it."""

Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
_Text = Annotated[str, Field(max_length=500)]


class _UpdateMessage(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class RunningSoftware(_UpdateMessage):
    """What a device runs."""

    image: str | None = Field(None, pattern=IMAGE, description="of the recorder; null: not known")
    release: Number | None = Field(None, description="that it was installed by; null: by none")
    system: str = Field("", max_length=100, description="version of the system")


class UpdateProgress(_UpdateMessage):
    """The newest update of a device."""

    rollout: Annotated[int, Field(ge=1, lt=1 << 53)] = Field(description="of which rollout")
    attempt: Annotated[int, Field(ge=1, lt=1 << 31)] = Field(description="number of the try")
    release: Number = Field(description="that is installed, or is to be")
    state: DeviceUpdateState = Field(description="how far it is")
    reason: _Text = Field("", description="in words: what it waits for, or what is wrong")
    since_ms: Ms = Field(description="since when it is in this state")


class RecorderHealth(_UpdateMessage):
    """What the recorder says of itself; the health gate decides by it."""

    cameras: Annotated[int, Field(ge=0, le=256)] = Field(description="configured cameras")
    recording: Annotated[int, Field(ge=0, le=256)] = Field(description="cameras that record")
    spool_waiting: Annotated[int, Field(ge=0, lt=1 << 53)] = Field(
        description="fragments not yet uploaded"
    )
    uploads: bool = Field(description="whether S3 and SQS are reached")


class DeviceUpdateReport(_UpdateMessage):
    """What a device's update agent reports."""

    format: Annotated[int, Field(ge=1, le=1_000)] = FORMAT
    agent: str = Field("", max_length=50, description="version of the agent's program")
    hardware: str = Field(pattern=HARDWARE, description="such as x86-64")
    running: RunningSoftware
    update: UpdateProgress | None = Field(None, description="null: it had none")
    health: RecorderHealth | None = Field(None, description="null: the recorder does not answer")


class OfferedRelease(_UpdateMessage):
    """A release as it was signed. The device checks it."""

    text: str = Field(max_length=MAX_TEXT_BYTES, description="canonical form")
    key: str = Field(max_length=64, description="id of the key")
    signature: str = Field(max_length=100, description="Ed25519, base64")

    @classmethod
    def of(cls, signed: SignedRelease) -> Self:
        """Return what is sent for a signed release."""
        value = base64.b64encode(signed.signature.value).decode()
        return cls(text=signed.text, key=signed.signature.key, signature=value)

    def signed(self) -> SignedRelease:
        """Return the claim; a signature that cannot be read is an empty one, which is refused."""
        try:
            value = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            value = b""
        return SignedRelease(self.text, ReleaseSignature(self.key, value))


class WantedUpdate(_UpdateMessage):
    """What a device is to install."""

    rollout: Annotated[int, Field(ge=1, lt=1 << 53)]
    attempt: Annotated[int, Field(ge=1, lt=1 << 31)]
    release: OfferedRelease
    at_once: bool = Field(False, description="outside of the window too; a lock still counts")


class UpdateAnswer(_UpdateMessage):
    """The answer to a report."""

    format: Annotated[int, Field(ge=1, le=1_000)] = FORMAT
    wanted: WantedUpdate | None = Field(None, description="null: stay as you are")
    window: MaintenanceWindow | None = Field(None, description="null: always")
    zone: ZoneName = Field("UTC", description="time zone of the window")
    lock: str | None = Field(None, max_length=500, description="why nothing is installed; or null")
    poll_s: Annotated[int, Field(ge=1, le=86_400)] = Field(60, description="when to ask again")
