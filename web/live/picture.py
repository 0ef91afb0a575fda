"""One feed of one camera at its relay: who sends it, who watches it, and what may pass."""

import asyncio
import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import InvalidEventError
from domain.events.base import Ms, Slug
from domain.events.detections import FoundObject
from domain.live_stream import (
    CAMERA_OFFLINE,
    MAX_NOTE_CHARS,
    Feed,
    LiveChannel,
    LiveEnd,
    LiveKind,
    LiveMessage,
)
from domain.printable import printable
from web.live.metrics import RELAY_BYTES

MAX_TEXT_CHARS = 256 << 10
MAX_REASON_CHARS = 200
Size = Annotated[int, Field(ge=1, le=16_384)]


class _FromDevice(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", json_schema_serialization_defaults_required=True
    )


class LiveFormat(_FromDevice):
    """How the pictures that follow are encoded."""

    type: Literal["format"] = Field("format", description="Which message it is.")
    codecs: str = Field(
        pattern=r"^[A-Za-z0-9.]{1,60}(,[A-Za-z0-9.]{1,60})?$",
        description="For MediaSource (RFC 6381): video, and audio where there is some.",
    )
    width: Size = Field(description="Of the pictures, in pixels.")
    height: Size = Field(description="Of the pictures, in pixels.")
    note: str = Field(
        "",
        max_length=MAX_NOTE_CHARS,
        description="For people: that the main stream is shown, because the sub stream fails.",
    )


class LiveDetectionFrame(_FromDevice):
    """What was found in one picture."""

    at_ms: Ms = Field(description="When the picture was taken, UTC ms.")
    objects: list[FoundObject] = Field(
        max_length=1_000, description="Empty: analysed, nothing found."
    )


class LiveDetections(_FromDevice):
    """What a model found in pictures that are shown now."""

    type: Literal["detections"] = Field("detections", description="Which message it is.")
    camera: str = Field(max_length=191, description="tenant/site/camera")
    model: Slug = Field(description="The model that detected them.")
    model_version: Slug = Field(description="The model's version.")
    frames: list[LiveDetectionFrame] = Field(
        min_length=1,
        max_length=200,
        description="The pictures; late detections are left out.",
    )


class LivePicture:
    """What the relay holds for one feed."""

    def __init__(self, camera: str, feed: Feed, now_s: float) -> None:
        self.camera = camera
        self.feed: Feed = feed
        self.channel = LiveChannel()
        self.publisher: web.WebSocketResponse | None = None
        """The device's socket, or that of the worker that passes it on."""
        self.changed = asyncio.Event()
        """Set where the publisher came or left."""
        self.last_media_s = now_s
        self.hint = ""
        """The device's sentence about the camera, in its last answer."""

    def push(self, data: str | bytes, now_s: float) -> None:
        """Pass a message of the device on. Raises InvalidEventError."""
        message = checked(LiveMessage.parse(data), self.camera)
        RELAY_BYTES.inc(message.size)
        if message.kind.is_media:
            self.last_media_s = now_s
        self.channel.push(message)

    def end(self, end: LiveEnd) -> None:
        """Send all viewers the reason, and close."""
        self.channel.push(LiveMessage.end(end))


def checked(message: LiveMessage, camera: str) -> LiveMessage:
    """Return a device's message with only what is known in its text; raise InvalidEventError."""
    if not isinstance(message.data, str):
        return message
    if len(message.data) > MAX_TEXT_CHARS:
        raise InvalidEventError("a live message is too large")
    fields: dict[str, Any] = json.loads(message.data)
    if message.kind is LiveKind.END:
        reason = printable(str(fields.get("reason", "")), MAX_REASON_CHARS)
        return LiveMessage.end(CAMERA_OFFLINE.with_reason(reason))
    try:
        if message.kind is LiveKind.FORMAT:
            fields["note"] = printable(str(fields.get("note", "")), MAX_NOTE_CHARS)
            known: _FromDevice = LiveFormat.model_validate(fields)
        else:
            known = LiveDetections.model_validate(fields)
    except ValidationError:
        raise InvalidEventError(f"a live message ({message.kind.name}) is not valid") from None
    if isinstance(known, LiveDetections) and known.camera != camera:
        raise InvalidEventError("detections of another camera came with a live picture")
    return LiveMessage(message.kind, known.model_dump_json())
