"""What stands between: healing, silence measured, deletions, dead letters."""

from typing import Literal, Self

from pydantic import Field, model_validator

from domain.errors import ConfigError
from domain.events.base import DurationMs, Event, Ms, Part, Ranges, Reason, Seq, WindowMs
from domain.identity import CameraId, RunId
from domain.window_lengths import MAX_STEPS, WindowLengths


class HealRequested(Event):
    """A window is to be sealed without proof: list what stands in S3 first."""

    type: Literal["heal-requested"] = "heal-requested"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="start of the window that waits; the answer names it")
    after_seq: int = Field(ge=-1, le=99_999_999, description="list above this seq")
    before_seq: Seq | None = Field(None, description="list below this seq; null: to the end")
    known: Ranges = Field(
        default_factory=list,
        description="(first, last) of the seqs between the two that need not be sent",
    )

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class Healed(Event):
    """The run's prefix was listed; what stood there unseen was sent before this event."""

    type: Literal["healed"] = "healed"
    camera: CameraId
    run: RunId
    window_start_ms: Ms = Field(description="as the request named it")
    found: int = Field(ge=0, le=99_999_999, description="fragments that were sent before this")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class Tick(Event):
    """Time passes on one partition of fragment-arrived; measures silence in log order."""

    type: Literal["tick"] = "tick"
    partition: int = Field(ge=0, le=10_000, description="partition it was sent to")
    at_ms: Ms = Field(description="clock of the worker that sent it")


class Deleted(Event):
    """A tombstone: what it names is gone on purpose and must not come back."""

    type: Literal["deleted"] = "deleted"
    camera: CameraId
    run: RunId
    what: Literal["fragments", "chunk"] = Field(description="what is gone")
    first_seq: Seq | None = Field(None, description="fragments: the first of them")
    last_seq: Seq | None = Field(None, description="fragments: the last of them, inclusive")
    window_start_ms: Ms | None = Field(None, description="chunk: start of its window")
    digest: str | None = Field(None, max_length=32, description="chunk: its digest, hex")
    reason: Reason
    deleted_ms: Ms = Field(description="when it was decided, before the object went")

    @property
    def key(self) -> str:
        """The camera."""
        return self.camera


class WindowsFrom(Part):
    """From when on a camera's windows are how long."""

    from_ms: Ms = Field(description="a border of windows of the length before and of this one")
    window_ms: WindowMs


class CameraConfigured(Event):
    """How a camera's footage is cut from now on; stands in the camera's order of fragments.

    It tells all there is to know, so that sent again it changes nothing; the newest counts.
    """

    type: Literal["camera-configured"] = "camera-configured"
    camera: CameraId
    windows: list[WindowsFrom] = Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="ascending, the first from 0: what comes late is cut as its neighbours were",
    )
    grace_ms: DurationMs | None = Field(
        None, description="see WindowRules; null: as the settings say"
    )
    idle_ms: int | None = Field(
        None,
        ge=1_000,
        le=86_400_000,
        description="silence of a run that closes its windows; null: as the settings say",
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
    """What became of a dead letter; stands behind it, in its partition of the same topic."""

    type: Literal["dead-letter-marked"] = "dead-letter-marked"
    partition: int = Field(ge=0, le=10_000, description="where the letter stands")
    offset: int = Field(ge=0, lt=1 << 62, description="where it stands in its partition")
    did: Literal["retried", "dropped"] = Field(
        description="retried: its message was sent again before this was written"
    )
    at_ms: Ms = Field(description="when it was marked")

    @property
    def key(self) -> str:
        """The letter's place."""
        return f"{self.partition}@{self.offset}"


class DeadLetter(Event):
    """A message that could not be read or must not be believed, kept with the reason."""

    type: Literal["dead-letter"] = "dead-letter"
    source: str = Field(min_length=1, max_length=250, description="topic or queue it came from")
    partition: int | None = Field(
        None, ge=0, le=10_000, description="where it stands in its topic; null: it was a queue's"
    )
    offset: int | None = Field(
        None, ge=0, lt=1 << 62, description="where it stands in its partition"
    )
    message_key: str | None = Field(None, max_length=1_000, description="its Kafka key, as text")
    reason: Reason
    at_ms: Ms = Field(description="when it was put aside")
    original_base64: str = Field(
        max_length=1_400_000, description="the message's bytes, base64 (RFC 4648, 4)"
    )

    @property
    def key(self) -> str:
        """Where it came from."""
        return self.message_key or self.source
