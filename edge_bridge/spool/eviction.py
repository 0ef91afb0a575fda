"""What goes when space is needed, and in which order.

    1  what the cloud has been told of, oldest first          nothing is lost
    2  files that stand in S3, their notice still due         nothing is lost
    3  what nobody else has, logged and counted: of the cameras with the lowest priority,
       the oldest first

A file goes before its row changes: on a disk that is full to the last byte only that makes room
for the journal, and a row without a file is mended at every start.
"""

import logging
import time
from collections.abc import Callable

from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.disk import SpoolDisk
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.rate import ByteRate
from edge_bridge.spool.rows import FragmentState, SpooledFragment

log = logging.getLogger(__name__)

_FREE_AT_ONCE = 32
_JOURNAL_ROOM = 4 << 20
"""Bytes that stay free whatever the limits say: what gives footage up has to be written down."""


class Evictor:
    """The room of one folder. All but the reading belongs to the spool's thread."""

    def __init__(
        self,
        limits: SpoolLimits,
        disk: SpoolDisk,
        give_up: Callable[[SpooledFragment], None],
        step: Callable[[str], None],
        free_bytes: Callable[[], int] | None,
    ) -> None:
        """`give_up` lets a fragment go that nobody else has; `free_bytes` stands for the disk."""
        self.limits = limits
        self._disk, self._give_up, self._step = disk, give_up, step
        self._free_bytes = free_bytes
        self._rate = ByteRate()
        self.bytes = 0
        """Of fragments on the disk."""

    def take(self, files: FragmentFiles, journal: Journal) -> None:
        """Look after a folder that was opened, or opened anew."""
        self._files, self._journal = files, journal
        self.recount()

    def recount(self) -> None:
        """Count anew, after others have changed rows."""
        self.bytes = self._journal.file_bytes()

    def added(self, size: int) -> None:
        """Count a fragment that was stored."""
        self.bytes += size
        self._rate.add(_steady_ms(), size)

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        return self._disk.free()[0] if self._free_bytes is None else self._free_bytes()

    def hour_bytes(self) -> int:
        """Return what all cameras bring in an hour, as measured; 0 while that is not known."""
        return self._rate.hour_bytes(_steady_ms())

    def min_free_bytes(self) -> int:
        """Return the bytes of the disk that stay free as the cameras send now."""
        if self._free_bytes is not None:
            return self.limits.free_floor_bytes
        total = self._disk.free()[1]
        floor = self.limits.floor(self.hour_bytes(), total)
        return max(floor, min(_JOURNAL_ROOM, total // 8))

    def evict(self) -> None:
        """Delete until bytes and free space are within the limits, in the order of room.py."""
        self._make_room(self.limits.max_bytes, self.min_free_bytes())

    def evict_for(self, size: int, camera: str) -> None:
        """Make room for a fragment on a disk that is full, whatever the limits say.

        What nobody else has goes only for a camera of at least its priority.
        """
        self._make_room(max(self.bytes - 2 * size, 0), 0, self.limits.priority(camera))

    def _make_room(self, most: int, floor: int, priority: int = 9) -> None:
        def short() -> bool:
            return self.bytes > most or self.free_bytes() < floor

        while short():
            if aside := self._files.drop_quarantined():
                log.warning("no space is left: %s, which was set aside, is deleted", aside)
            elif noticed := self._journal.waiting.on_disk(FragmentState.NOTICED, _FREE_AT_ONCE):
                for row in noticed:
                    self._free(row)
                    self._step("file freed")
                    self._journal.drop_fragment(row.id)
                    if not short():
                        break
                self._journal.forget_runs()
            elif uploaded := self._journal.waiting.on_disk(FragmentState.UPLOADED, 1):
                self._free(uploaded[0])
                self._journal.without_file(uploaded[0].id)
            elif not self._last_resort(most, floor):
                return
            elif stored := next_to_evict(self._journal, self.limits, priority, _FREE_AT_ONCE):
                for row in stored:
                    self._give_up(row)
                    if not short() or not self._last_resort(most, floor):
                        break
            else:
                return

    def _last_resort(self, most: int, floor: int) -> bool:
        """Return whether what nobody else has may go: where others fill the disk, an hour of it
        stays, down to the configured minimum of free space.
        """
        least = min(self.limits.free_floor_bytes, floor)
        return self.bytes > most or self.bytes > self.hour_bytes() or self.free_bytes() < least

    def _free(self, row: SpooledFragment) -> None:
        self._files.remove(row.camera, row.run, row.seq)
        self.bytes -= row.size


def next_to_evict(
    journal: Journal, limits: SpoolLimits, most_priority: int, limit: int
) -> list[SpooledFragment]:
    """Return the fragments that nobody else has and that go first, of no higher priority."""
    by_priority: dict[int, list[SpooledFragment]] = {}
    for camera in journal.waiting.cameras():
        rows = journal.waiting.oldest_of(camera, limit)
        by_priority.setdefault(limits.priority(camera), []).extend(rows)
    if not by_priority or min(by_priority) > most_priority:
        return []
    return sorted(by_priority[min(by_priority)], key=lambda row: row.start_ms)[:limit]


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
