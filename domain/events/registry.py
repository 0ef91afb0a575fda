"""Bytes to events and back."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from domain.errors import InvalidEventError
from domain.events.base import Event
from domain.events.chunks import ChunkComplete, ChunkDue
from domain.events.control import DeadLetter, Deleted, Healed, HealRequested, Tick
from domain.events.detections import Detection
from domain.events.edge import Heartbeat
from domain.events.fragments import FragmentArrived, RunEnded, RunStarted

AnyEvent = (
    FragmentArrived
    | RunStarted
    | RunEnded
    | HealRequested
    | Healed
    | Tick
    | ChunkDue
    | ChunkComplete
    | Detection
    | Heartbeat
    | Deleted
    | DeadLetter
)
EVENTS: dict[str, type[Event]] = {
    model.model_fields["type"].default: model for model in AnyEvent.__args__
}
_ANY: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def parse(data: bytes) -> AnyEvent:
    """Return the event that `data` (JSON, UTF-8) is; raise InvalidEventError saying why not."""
    try:
        return _ANY.validate_json(data)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidEventError(f"{where}: {first['msg']}"[:480]) from None


def encode(event: Event) -> bytes:
    """Return an event as JSON in UTF-8, absent values left out."""
    return event.model_dump_json(exclude_none=True).encode()
