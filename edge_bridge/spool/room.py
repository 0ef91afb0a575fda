"""What goes when space is needed, and in which order.

    1  what the cloud has been told of, oldest first          nothing is lost
    2  files that stand in S3, their notice still due         nothing is lost
    3  what nobody else has, logged and counted: of the cameras with the lowest priority,
       the oldest first

A file goes before its row changes: on a disk that is full to the last byte only that makes room
for the journal, and a row without a file is mended at every start.
"""

from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rows import FragmentRow


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
