"""What all events share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Ms = Annotated[int, Field(ge=0, lt=1 << 48)]
"""UTC wall time in milliseconds since 1970."""
DurationMs = Annotated[int, Field(ge=0, le=3_600_000)]
Pts = Annotated[int, Field(ge=-(1 << 62), lt=1 << 62)]
"""Media time in ticks of 90 kHz, unwrapped: it does not fall back after 26.5 hours."""
Seq = Annotated[int, Field(ge=0, le=99_999_999)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reason = Annotated[str, Field(min_length=1, max_length=500)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Ranges = Annotated[list[tuple[Seq, Seq]], Field(max_length=10_000)]
"""Inclusive (first, last) pairs of seqs, ascending, not touching."""


class Event(BaseModel):
    """Base of all events: immutable, unknown fields refused, one version each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    version: Literal[1] = Field(1, description="version of this event's form")

    @property
    def key(self) -> str:
        """Kafka key: keeps one camera's events on one partition."""
        raise TypeError(f"{type(self).__name__} has no key")


class Part(BaseModel):
    """Base of the parts of events."""

    model_config = ConfigDict(frozen=True, extra="forbid")
