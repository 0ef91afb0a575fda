"""Eviction: what is deleted when space is needed, and in which order.

    1  quarantined files                                      they were given up before
    2  fragments that the cloud knows of, oldest first        nothing is lost
    3  files that are in S3, their notice still due           nothing is lost
    4  fragments that exist nowhere else, logged and counted: of the cameras with the lowest
       priority, the oldest first

A file is deleted before its row changes. On a completely full disk only that makes space for the
journal. Recovery repairs a row without a file.
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

_ROWS_AT_ONCE = 32
_MAX_PRIORITY = 9
_JOURNAL_RESERVE_BYTES = 4 << 20
"""Bytes that stay free whatever the limits say: giving up a fragment writes to the journal."""


class Evictor:
    """Keeps one folder within its limits.

    Any thread may read sizes; the rest runs on the spool's thread.
    """

    def __init__(
        self,
        limits: SpoolLimits,
        disk: SpoolDisk,
        give_up: Callable[[SpooledFragment], None],
        step: Callable[[str], None],
        free_bytes: Callable[[], int] | None,
    ) -> None:
        """`give_up` gives up a fragment that exists nowhere else.

        `free_bytes` replaces the disk's own answer (tests).
        """
        self.limits = limits
        self._disk = disk
        self._give_up = give_up
        self._step = step
        self._free_bytes = free_bytes
        self._rate = ByteRate()
        self.bytes = 0
        """Bytes of the fragments on the disk."""

    def attach(self, files: FragmentFiles, journal: Journal) -> None:
        """Use a folder that was opened, or opened again."""
        self._files = files
        self._journal = journal
        self.recount()

    def recount(self) -> None:
        """Count again, after others changed rows."""
        self.bytes = self._journal.file_bytes()

    def added(self, size: int) -> None:
        """Count a fragment that was stored."""
        self.bytes += size
        self._rate.add(_steady_ms(), size)

    def removed(self, size: int) -> None:
        """Count bytes whose file is no longer there."""
        self.bytes -= size

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        return self._disk.free()[0] if self._free_bytes is None else self._free_bytes()

    def hour_bytes(self) -> int:
        """Return what all cameras bring in an hour, as measured; 0: not known yet."""
        return self._rate.hour_bytes(_steady_ms())

    def min_free_bytes(self) -> int:
        """Return how many bytes of the disk stay free at the cameras' present rate."""
        if self._free_bytes is not None:
            return self.limits.free_floor_bytes
        total = self._disk.free()[1]
        min_free = self.limits.min_free_bytes(self.hour_bytes(), total)
        return max(min_free, min(_JOURNAL_RESERVE_BYTES, total // 8))

    def evict(self) -> None:
        """Delete until used and free bytes are within the limits, in the order above."""
        self._evict(self.limits.max_bytes, self.min_free_bytes())

    def evict_for(self, size: int, camera: str) -> None:
        """Make space for a fragment on a disk that is full, whatever the limits say.

        Fragments of cameras with a higher priority are not given up for it.
        """
        self._evict(max(self.bytes - 2 * size, 0), 0, self.limits.priority(camera))

    def _evict(self, max_bytes: int, min_free: int, priority: int = _MAX_PRIORITY) -> None:
        def over() -> bool:
            return self.bytes > max_bytes or self.free_bytes() < min_free

        while over():
            if quarantined := self._files.drop_quarantined():
                log.warning("no space is left: the quarantined file %s is deleted", quarantined)
            elif noticed := self._journal.waiting.on_disk(FragmentState.NOTICED, _ROWS_AT_ONCE):
                for row in noticed:
                    self._remove_file(row)
                    self._step("file freed")
                    self._journal.drop_fragment(row.id)
                    if not over():
                        break
                self._journal.drop_ended_runs()
            elif uploaded := self._journal.waiting.on_disk(FragmentState.UPLOADED, 1):
                # The row stays: its notice is still due.
                self._remove_file(uploaded[0])
                self._journal.without_file(uploaded[0].id)
            elif not self._may_give_up(max_bytes, min_free):
                return
            elif stored := next_to_evict(self._journal, self.limits, priority, _ROWS_AT_ONCE):
                for row in stored:
                    self._give_up(row)
                    if not over() or not self._may_give_up(max_bytes, min_free):
                        break
            else:
                return

    def _may_give_up(self, max_bytes: int, min_free: int) -> bool:
        """Return whether fragments that exist nowhere else may be given up.

        Where other programs fill the disk, the last hour stays, until the free space falls below
        the configured minimum.
        """
        configured = min(self.limits.free_floor_bytes, min_free)
        return (
            self.bytes > max_bytes
            or self.bytes > self.hour_bytes()
            or self.free_bytes() < configured
        )

    def _remove_file(self, row: SpooledFragment) -> None:
        self._files.remove(row.camera, row.run, row.seq)
        self.bytes -= row.size


def next_to_evict(
    journal: Journal, limits: SpoolLimits, max_priority: int, limit: int
) -> list[SpooledFragment]:
    """Return the fragments to give up first: of the lowest priority, the oldest.

    Empty where every waiting fragment has a higher priority than `max_priority`.
    """
    by_priority: dict[int, list[SpooledFragment]] = {}
    for camera in journal.waiting.cameras():
        rows = journal.waiting.oldest_of(camera, limit)
        by_priority.setdefault(limits.priority(camera), []).extend(rows)
    if not by_priority or min(by_priority) > max_priority:
        return []
    return sorted(by_priority[min(by_priority)], key=lambda row: row.start_ms)[:limit]


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
