"""What other threads may do with the spool, and what they may know of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.events import FragmentArrived, RunEnded
from domain.identity import FragmentId
from edge_bridge.spool.discard import QuarantineReason
from edge_bridge.spool.disk import DiskState
from edge_bridge.spool.rows import OutboxMessage, SpoolCounts, SpooledFragment, SpooledRun


class SpoolAccess(Protocol):
    """What `SpoolThread.call` may do with the spool; see the methods of `Spool`."""

    def counts(self) -> SpoolCounts:
        """Return how much waits."""

    def waiting(
        self, limit: int, *, from_ms: int = 0, to_ms: int = 1 << 48
    ) -> list[SpooledFragment]:
        """Return fragments to upload, oldest first."""

    def event_of(self, row: SpooledFragment) -> FragmentArrived | None:
        """Return the event of a fragment; None: it is damaged, and given up."""

    def uploaded(self, one: FragmentId) -> None:
        """Record that a fragment is in S3."""

    def give_up(
        self, one: FragmentId, why: str, quarantine: QuarantineReason | None = None
    ) -> None:
        """Give up a fragment that cannot be sent."""

    def unreadable(self, one: FragmentId, error: OSError) -> None:
        """Give up a fragment whose file cannot be read."""

    def unnoticed(self, limit: int) -> list[SpooledFragment]:
        """Return fragments in S3 whose notice is due."""

    def messages(self, limit: int) -> list[OutboxMessage]:
        """Return the oldest messages."""

    def sent(
        self,
        noticed: Sequence[FragmentId],
        messages: Sequence[OutboxMessage],
        ended: Sequence[str],
    ) -> None:
        """Record what the queue accepted."""

    def ends_to_write(self, limit: int) -> list[tuple[SpooledRun, RunEnded]]:
        """Return runs whose end can be written to S3."""

    def ends_to_notice(self) -> list[tuple[str, bytes]]:
        """Return ends in S3 whose notice is due."""

    def end_written(self, run: str, event: RunEnded | None = None) -> None:
        """Record that a run's end is in S3."""

    def stamp_undated(self) -> bool:
        """Give a few undated fragments their time; True: call again."""


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """The spool at one moment."""

    disk: DiskState
    detail: str
    """The text of the disk's last error."""
    since_ms: int
    """UTC since when the disk is in this state, ms."""
    accepts_rows: bool
    """Whether the journal can be written: the disk is good, or full and space can be freed."""
    file_bytes: int
    """Bytes of the fragments on the disk."""
    hour_bytes: int
    """Bytes that all cameras bring in an hour, as measured; 0: not known yet."""
    given_up: int
    """Fragments given up since the program's start."""
    recovering: bool
    """Whether recovery after the last start still runs."""
