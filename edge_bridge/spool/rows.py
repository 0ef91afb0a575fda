"""The journal's rows, as values."""

from dataclasses import dataclass
from enum import IntEnum

from domain.events import FragmentArrived
from domain.events.registry import encode
from domain.identity import FragmentId


class FragmentState(IntEnum):
    """Where a fragment is on its way to the cloud. It only ever increases."""

    STORED = 0
    UPLOADED = 1
    NOTICED = 2
    GIVEN_UP = 3


class EndState(IntEnum):
    """Where a run's end is on its way to the cloud."""

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
    """Version 1: the version before of this program reads it, too."""
    state: FragmentState
    prev_sha256: str | None = None
    """Hash of the fragment before it in the run; None: it is the first, or that is unknown."""

    @classmethod
    def of(cls, event: FragmentArrived, state: FragmentState) -> "SpooledFragment":
        """Return the row of a fragment."""
        return cls(
            camera=event.camera,
            run=event.run,
            seq=event.seq,
            start_ms=event.start_ms,
            size=event.size_bytes,
            event=encode(event.with_previous(None)).decode(),
            state=state,
            prev_sha256=event.prev_sha256,
        )

    @property
    def id(self) -> FragmentId:
        """The fragment's identity."""
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
    """How much waits for the cloud."""

    stored: int
    uploaded: int
    oldest_ms: int | None
    """UTC start of the oldest fragment that is not uploaded."""
    messages: int
    message_bytes: int
    runs_ending: int
    undated: int = 0
    """Fragments that wait for this device's clock to be set; not among `stored`."""
    recovering: bool = False
    """Whether recovery still runs: there may be more fragments than are counted."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the cloud."""
        return not (
            self.stored or self.uploaded or self.messages or self.runs_ending or self.recovering
        )
