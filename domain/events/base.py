"""What all events have in common."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[int, Field(ge=0, lt=1 << 48, json_schema_extra={"unit": "ms since 1970, UTC"})]
"""UTC wall time in milliseconds since 1970."""
DurationMs = Annotated[int, Field(ge=0, le=3_600_000, json_schema_extra={"unit": "ms"})]
WindowMs = Annotated[
    int,
    Field(
        ge=1_000,
        le=3_600_000,
        description="length of the window, whole seconds",
        json_schema_extra={"unit": "ms"},
    ),
]
Pts = Annotated[
    int, Field(ge=-(1 << 62), lt=1 << 62, json_schema_extra={"unit": "1/90000 s, unwrapped"})
]
"""Media time in ticks of 90 kHz, unwrapped: it goes on after 2^33 ticks (26.5 hours)."""
Seq = Annotated[int, Field(ge=0, le=99_999_999)]
FragmentBytes = Annotated[
    int,
    Field(
        ge=188,
        le=1 << 32,
        description="size of the fragment's object, whole TS packets of 188",
        json_schema_extra={"unit": "bytes"},
    ),
]
Bytes = Annotated[int, Field(ge=0, lt=1 << 62, json_schema_extra={"unit": "bytes"})]
Pixels = Annotated[int, Field(ge=1, le=16_384, json_schema_extra={"unit": "pixels"})]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[
    str, Field(min_length=1, max_length=500, description="why, in words for an operator")
]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
MAX_RANGES = 10_000
Ranges = Annotated[list[tuple[Seq, Seq]], Field(max_length=MAX_RANGES)]
"""Inclusive (first, last) pairs of seqs, ascending, with gaps between."""


def _name_the_type(schema: dict[str, Any]) -> None:
    """Make `type` a required field in the JSON Schema."""
    schema["properties"]["type"]["description"] = "which event this is"
    schema["required"] = ["type", *schema.get("required", [])]


class Event(BaseModel):
    """Base of all events: immutable, without unknown fields, one version each."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_name_the_type)

    type: str
    version: Literal[1] = Field(1, description="version of this event's format")

    @property
    def key(self) -> str:
        """Kafka key: all events of a camera are on one partition."""
        raise TypeError(f"{type(self).__name__} has no key")


class EventPart(BaseModel):
    """Base of the parts of events."""

    model_config = ConfigDict(frozen=True, extra="forbid")
