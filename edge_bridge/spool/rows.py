"""What the journal's rows say, as values."""

from dataclasses import dataclass
from enum import IntEnum

from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.identity import FragmentId


class FragmentState(IntEnum):
    """How far a fragment is on its way."""

    STORED = 0
    UPLOADED = 1
    NOTICED = 2
    GIVEN_UP = 3


class EndState(IntEnum):
    """How far a run's end is on its way."""

    OPEN = 0
    ENDED = 1
    WRITTEN = 2
    NOTICED = 3


@dataclass(frozen=True, slots=True)
class SpooledFragment:
    """One fragment's row."""

    camera: str
    run: str
    seq: int
    start_ms: int
    size: int
    event: str
    state: FragmentState

    @classmethod
    def of(cls, event: FragmentArrived, state: FragmentState) -> "SpooledFragment":
        """Return the row of a fragment."""
        text = encode(event).decode()
        return cls(
            event.camera, event.run, event.seq, event.start_ms, event.size_bytes, text, state
        )

    @property
    def id(self) -> FragmentId:
        """Its identity."""
        return FragmentId(self.camera, self.run, self.seq)


@dataclass(frozen=True, slots=True)
class SpooledRun:
    """One run's row."""

    run: str
    camera: str
    last_seq: int
    last_ms: int
    ended_ms: int | None
    reason: str | None
    end_event: str | None
    end_state: EndState


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message of the outbox."""

    id: int
    type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class SpoolCounts:
    """What is on its way."""

    stored: int
    uploaded: int
    oldest_ms: int | None
    """UTC start of the oldest fragment not uploaded."""
    messages: int
    message_bytes: int
    runs_ending: int
    held: int = 0
    """Fragments that wait for this device's clock to be set; not among `stored`."""
    recovering: bool = False
    """Whether what an earlier run left is still looked at: there may be more."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the cloud."""
        return not (
            self.stored or self.uploaded or self.messages or self.runs_ending or self.recovering
        )
