"""Values in the state of a camera's windows: open windows, and what a run's end reports."""

from dataclasses import dataclass, field
from typing import NamedTuple

from domain.events import FragmentArrived, FragmentRef
from domain.seqs import SeqRanges


class OpenFragment(NamedTuple):
    """A fragment in an open window: the fields of FragmentRef, cheap to write to the table."""

    seq: int
    start_ms: int
    duration_ms: int
    start_pts: int
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, event: FragmentArrived) -> "OpenFragment":
        """Return the fragment of an event."""
        return cls(
            event.seq,
            event.start_ms,
            event.duration_ms,
            event.start_pts,
            event.size_bytes,
            event.sha256,
        )

    @property
    def end_ms(self) -> int:
        """UTC of the end, exclusive."""
        return self.start_ms + self.duration_ms

    def ref(self) -> FragmentRef:
        """Return it as the event names it; its fields were validated when it arrived."""
        return FragmentRef.model_construct(
            seq=self.seq,
            start_ms=self.start_ms,
            duration_ms=self.duration_ms,
            start_pts=self.start_pts,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
        )


@dataclass(slots=True)
class Window:
    """The fragments of one run that start in one window and are not yet in a chunk."""

    start_ms: int
    length_ms: int
    late: bool
    fragments: dict[int, OpenFragment] = field(default_factory=dict)
    """Seq -> fragment."""
    touched_ms: int = 0
    """Log time of the newest fragment."""
    heal_requested_ms: int | None = None
    """Log time of the request to the healer; None: no answer is pending."""

    @property
    def end_ms(self) -> int:
        """UTC of its end, exclusive."""
        return self.start_ms + self.length_ms


class Evicted(NamedTuple):
    """What of a run was evicted because the camera had too many fragments in open windows."""

    last_seq: int = -1
    """The highest evicted seq."""
    at_ms: int | None = None
    """Log time of the newest eviction; None once the healer was asked for the fragments."""
    rounds: int = 0
    """How often the healer was asked for evicted fragments."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What the event of a run's end reports."""

    last_seq: int
    ended_ms: int
    reason: str
    given_up: SeqRanges


class CameraOverrides(NamedTuple):
    """A camera's own configuration, all but its window lengths; None: as in the settings."""

    changed_ms: int
    grace_ms: int | None
    idle_ms: int | None
