"""Events about other events: healing, ticks, configuration, deletions, dead letters."""

from typing import Literal, Self

from pydantic import Field, model_validator

from domain.errors import ConfigError
from domain.events.base import DurationMs, Event, EventPart, Ms, Ranges, Reason, Seq, WindowMs
from domain.identity import CameraId, RunId
from domain.window_lengths import MAX_STEPS, WindowLengths


class HealRequested(Event):
    """A window is to be sealed without proof: the healer lists S3 first."""

    type: Literal["heal-requested"] = "heal-requested"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(
        description="start of the window that waits; the answer has the same"
    )
    after_seq: int = Field(ge=-1, le=99_999_999, description="list above this seq")
    before_seq: Seq | None = Field(None, description="list below this seq; null: to the end")
    known: Ranges = Field(
        default_factory=list,
        description="(first, last) of the seqs between the two that are known already",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class Healed(Event):
    """The run's prefix in S3 was listed; the unknown fragments were sent before this event."""

    type: Literal["healed"] = "healed"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="as in the request")
    found: int = Field(
        ge=0, le=99_999_999, description="fragments that were sent before this event"
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class Tick(Event):
    """Time passes on one partition of fragment-arrived: it measures silence in log order."""

    type: Literal["tick"] = "tick"
    partition: int = Field(ge=0, le=10_000, description="partition it was sent to")
    at_ms: Ms = Field(description="clock of the worker that sent it")


class Deleted(Event):
    """A tombstone: what it names was deleted on purpose and must not be stored again."""

    type: Literal["deleted"] = "deleted"
    camera: CameraId
    run: RunId
    what: Literal["fragments", "chunk"] = Field(description="what was deleted")
    first_seq: Seq | None = Field(None, description="fragments: the first seq")
    last_seq: Seq | None = Field(None, description="fragments: the last seq, inclusive")
    window_start_ms: Ms | None = Field(None, description="chunk: start of its window")
    digest: str | None = Field(None, max_length=32, description="chunk: its digest, hex")
    reason: Reason
    deleted_ms: Ms = Field(description="when it was decided, before the objects were deleted")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class WindowsFrom(EventPart):
    """A window length, and from when on it is used."""

    from_ms: Ms = Field(description="a border of windows of this length and of the previous one")
    window_ms: WindowMs


class CameraConfigured(Event):
    """A camera's window lengths and waiting times, in order with the camera's fragments.

    It has the whole configuration, so that it can be sent again without harm; the newest is used.
    """

    type: Literal["camera-configured"] = "camera-configured"
    camera: CameraId
    windows: list[WindowsFrom] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="ascending, the first from 0: the lengths apply to late fragments too",
    )
    grace_ms: DurationMs | None = Field(
        None, description="see the glossary; null: as in the settings"
    )
    idle_ms: int | None = Field(
        None,
        ge=1_000,
        le=86_400_000,
        description="silence of a run that seals its windows; null: as in the settings",
        json_schema_extra={"unit": "ms"},
    )
    changed_ms: Ms = Field(description="when it was decided")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera

    @model_validator(mode="after")
    def _adjoin(self) -> Self:
        try:
            WindowLengths(tuple((each.from_ms, each.window_ms) for each in self.windows))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


class DeadLetterMarked(Event):
    """What was done with a dead letter; later in the same partition of the same topic."""

    type: Literal["dead-letter-marked"] = "dead-letter-marked"
    partition: int = Field(ge=0, le=10_000, description="partition of the dead letter")
    offset: int = Field(ge=0, lt=1 << 62, description="its offset in the partition")
    did: Literal["retried", "dropped"] = Field(
        description="retried: its message was sent again before this event was written"
    )
    at_ms: Ms = Field(description="when it was marked")

    @property
    def key(self) -> str:
        """Partition and offset of the dead letter."""
        return f"{self.partition}@{self.offset}"


class DeadLetter(Event):
    """A message that is invalid or implausible, kept with the reason."""

    type: Literal["dead-letter"] = "dead-letter"
    source: str = Field(min_length=1, max_length=250, description="topic or queue it came from")
    partition: int | None = Field(
        None, ge=0, le=10_000, description="its partition; null: it came from a queue"
    )
    offset: int | None = Field(None, ge=0, lt=1 << 62, description="its offset in the partition")
    message_key: str | None = Field(None, max_length=1_000, description="its Kafka key, as text")
    reason: Reason
    at_ms: Ms = Field(description="when it was rejected")
    original_base64: str = Field(
        max_length=1_400_000, description="the message's bytes, base64 (RFC 4648, 4)"
    )

    @property
    def key(self) -> str:
        """The key of the message, or its source."""
        return self.message_key or self.source
