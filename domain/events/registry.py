"""Bytes to events and back."""

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from domain.errors import InvalidEventError
from domain.events.base import Event
from domain.events.chunks import ChunkComplete, ChunkDue, WindowLost
from domain.events.commands import EdgeCommand
from domain.events.control import (
    CameraConfigured,
    DeadLetter,
    DeadLetterMarked,
    Deleted,
    Healed,
    HealRequested,
    Tick,
)
from domain.events.detections import Detection
from domain.events.edge import Heartbeat
from domain.events.fragments import FragmentArrived, RunEnded, RunStarted
from domain.printable import printable

AnyEvent = (
    FragmentArrived
    | RunStarted
    | RunEnded
    | CameraConfigured
    | HealRequested
    | Healed
    | Tick
    | ChunkDue
    | ChunkComplete
    | WindowLost
    | Detection
    | Heartbeat
    | EdgeCommand
    | Deleted
    | DeadLetter
    | DeadLetterMarked
)
SiteEvent = FragmentArrived | RunStarted | RunEnded | Detection | Heartbeat
"""Events that a site may send. Only the cloud sends the others."""
EVENTS: dict[str, type[Event]] = {
    model.model_fields["type"].default: model for model in AnyEvent.__args__
}
_ANY: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def parse(data: bytes) -> AnyEvent:
    """Return the event in `data` (JSON, UTF-8); raise InvalidEventError with the reason."""
    try:
        return _ANY.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidEventError(printable(_sentence(first), 480)) from None


def _sentence(fault: ErrorDetails) -> str:
    """Return what is wrong, and where: `fragment-arrived.seq: Field required`."""
    where = ".".join(str(part) for part in fault["loc"]) or "message"
    field = str(fault["loc"][-1]) if fault["loc"] else ""
    context = fault.get("ctx", {})
    match fault["type"]:
        case "union_tag_not_found":
            return "type: it is missing; every event needs one"
        case "union_tag_invalid":
            return f"type: {str(context['tag'])[:100]!r} is not an event that this program knows"
        case "literal_error" if field == "version":
            given = str(fault["input"])[:100]
            known = str(context["expected"])
            return f"{where}: version {given} is not known, this program reads version {known}"
        case "extra_forbidden":
            return f"{where}: no such field in this event and version"
        case "string_pattern_mismatch":
            given = str(fault["input"])[:100]
            return f"{where}: {given!r} does not match {context['pattern']}"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}"


def encode(event: Event) -> bytes:
    """Return an event as JSON in UTF-8, absent values left out."""
    return event.model_dump_json(exclude_none=True).encode()
