"""The messages of the link between a device and a link worker: JSON, one object each.

    device ──► hello                      who it is by its certificate; what it can do
    worker ──► welcome                    how often a ping is expected
    worker ──► command ──► device ──► answer       any number, in any order
    worker ──► reconnect                  it stops: finish, then connect elsewhere

Times are lengths, not moments: the device's clock may be wrong. A side ignores fields that it does
not know, so that a newer one can add some.
"""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from domain.commands import MAX_BODY_BYTES, MAX_DETAIL
from domain.errors import InvalidEventError

SUBPROTOCOL = "vigil-link-v1"
LINK_PATH = "/device/v1/link"
MAX_COMMAND_BYTES = 16 << 10
"""Of a message to the device."""
MISSED_PINGS = 2.5
"""After so many intervals without a message, a side closes the socket."""
_MAX_BODY_CHARS = (MAX_BODY_BYTES + 2) // 3 * 4


class LinkMessage(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def text(self) -> str:
        """Return the message as JSON, absent values left out."""
        return self.model_dump_json(exclude_none=True)


class Hello(LinkMessage):
    """The device's first message."""

    type: Literal["hello"] = "hello"
    software: str = Field("", max_length=50)
    kinds: list[str] = Field(default_factory=list, max_length=64)
    """The commands that it can carry out."""


class Welcome(LinkMessage):
    """The worker's answer to it."""

    type: Literal["welcome"] = "welcome"
    worker: str = Field(max_length=100)
    ping_s: float = Field(gt=0, le=3_600)
    """The device sends a ping after so many seconds."""
    now_ms: int
    """UTC by the cloud's clock."""


class CommandMessage(LinkMessage):
    """The device is asked for something."""

    type: Literal["command"] = "command"
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    kind: str = Field(max_length=50)
    """A kind that the device does not know is answered as failed."""
    within_ms: int = Field(ge=0, le=3_600_000)
    """A later answer does not count."""
    camera: str | None = Field(None, max_length=191)
    feed: Literal["main", "sub"] | None = None
    relay: str | None = Field(None, max_length=100)
    switch: Literal["on", "off"] | None = None


class AnswerMessage(LinkMessage):
    """What became of a command."""

    type: Literal["answer"] = "answer"
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    state: Literal["answered", "failed"]
    detail: str = Field("", max_length=MAX_DETAIL)
    """A sentence for people."""
    result: dict[str, Any] | None = None
    body: str | None = Field(None, max_length=_MAX_BODY_CHARS)
    """Base64."""

    def body_bytes(self) -> bytes | None:
        """Return the decoded body. Raises InvalidEventError."""
        if self.body is None:
            return None
        try:
            return base64.b64decode(self.body, validate=True)
        except binascii.Error:
            raise InvalidEventError("the body of an answer is not Base64") from None


class Reconnect(LinkMessage):
    """The worker stops. The device finishes its commands, and connects again."""

    type: Literal["reconnect"] = "reconnect"
    within_ms: int = Field(ge=0, le=600_000)
    """At a random moment within this time, so that not all come at once."""


FromDevice = Hello | AnswerMessage
FromWorker = Welcome | CommandMessage | Reconnect
_FROM_DEVICE: TypeAdapter[FromDevice] = TypeAdapter(
    Annotated[FromDevice, Field(discriminator="type")]
)
_FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(
    Annotated[FromWorker, Field(discriminator="type")]
)


def parse_from_device(text: str) -> FromDevice:
    """Return a device's message; raise InvalidEventError."""
    try:
        return _FROM_DEVICE.validate_json(text)
    except ValidationError as error:
        raise InvalidEventError(_sentence(error)) from None


def parse_from_worker(text: str) -> FromWorker:
    """Return a worker's message; raise InvalidEventError."""
    try:
        return _FROM_WORKER.validate_json(text)
    except ValidationError as error:
        raise InvalidEventError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"{where}: {first['msg']}"[:400]
