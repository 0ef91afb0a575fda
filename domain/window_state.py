"""What a window and a run's end are made of, while chunks are not yet due."""

from dataclasses import dataclass, field
from typing import NamedTuple

from domain.events import FragmentRef
from domain.seqs import SeqRanges


class Held(NamedTuple):
    """A fragment in an open window: the fields of FragmentRef, cheap to put into the table."""

    seq: int
    start_ms: int
    duration_ms: int
    start_pts: int
    size_bytes: int
    sha256: str

    @property
    def end_ms(self) -> int:
        """UTC of the end, exclusive."""
        return self.start_ms + self.duration_ms

    def ref(self) -> FragmentRef:
        """Return it as the event names it; its fields were checked when it arrived."""
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
    fragments: dict[int, Held] = field(default_factory=dict)
    touched_ms: int = 0
    """Log time of the newest fragment."""
    asked_ms: int | None = None
    """Log time at which the healer was asked."""

    @property
    def end_ms(self) -> int:
        """UTC of its end, exclusive."""
        return self.start_ms + self.length_ms


class LetGo(NamedTuple):
    """What of a run was given out of hand for want of room."""

    last_seq: int = -1
    """The highest of its seqs."""
    at_ms: int | None = None
    """Log time of the last, None once the healer was asked for them."""
    rounds: int = 0
    """How often the healer was asked for such."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What a run's end says."""

    last_seq: int
    ended_ms: int
    reason: str
    given_up: SeqRanges


class Told(NamedTuple):
    """What a camera was told last, but for the lengths; None: as the settings say."""

    changed_ms: int
    grace_ms: int | None
    idle_ms: int | None
