"""What goes when space is needed, and in which order.

    1  what the cloud has been told of, oldest first          nothing is lost
    2  files that stand in S3, their notice still due         nothing is lost
    3  what nobody else has, logged and counted: of the cameras with the lowest priority,
       the oldest first

A file goes before its row changes: on a disk that is full to the last byte only that makes room
for the journal, and a row without a file is mended at every start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import FragmentRow

DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much of the disk the spool may use."""

    max_bytes: int = 50 << 30
    free_floor_bytes: int = 2 << 30
    outbox_max_bytes: int = 64 << 20
    free_floor_s: int = 3_600
    """The floor is at least what all cameras bring in that time, up to a quarter of the disk."""
    priorities: Mapping[str, int] = field(default_factory=dict)
    """Camera -> 0 to 9; greater is kept longer. Others count as 5."""

    def floor(self, hour_bytes: int, total_bytes: int) -> int:
        """Return the bytes of the disk that stay free."""
        measured = min(hour_bytes * self.free_floor_s // 3_600, total_bytes // 4)
        return max(self.free_floor_bytes, measured)

    def priority(self, camera: str) -> int:
        """Return a camera's priority."""
        return self.priorities.get(camera, DEFAULT_PRIORITY)


def next_to_give_up(
    journal: Journal, limits: SpoolLimits, most_priority: int, limit: int
) -> list[FragmentRow]:
    """Return the fragments that nobody else has and that go first, of no higher priority."""
    by_priority: dict[int, list[FragmentRow]] = {}
    for camera in journal.waiting.cameras():
        rows = journal.waiting.oldest_of(camera, limit)
        by_priority.setdefault(limits.priority(camera), []).extend(rows)
    if not by_priority or min(by_priority) > most_priority:
        return []
    return sorted(by_priority[min(by_priority)], key=lambda row: row.start_ms)[:limit]
