"""Fragments that are never sent: deleted or quarantined, counted, and listed with the reason.

    file quarantined or removed ── one transaction: row `given up`, the loss in the list

A crash between the two leaves a row without a file, which recovery.py gives up. All of it runs on
the spool's thread.
"""

import logging
from collections.abc import Callable
from typing import Literal, TypeAlias

from domain.errors import MediaError
from domain.events import FragmentArrived, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.spool.disk import SpoolDisk
from edge_bridge.spool.eviction import Evictor
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.journal import Journal
from edge_bridge.spool.loss_rows import Loss, loss_of
from edge_bridge.spool.rows import FragmentState, SpooledFragment
from edge_bridge.spool.unwritten import UnwrittenRange

log = logging.getLogger(__name__)

QuarantineReason: TypeAlias = Literal["damaged", "refused"]
"""Why a file is quarantined: kept for inspection until space is needed. It is the new suffix."""


class Discarder:
    """Gives fragments up."""

    def __init__(self, disk: SpoolDisk, clock: EdgeClock, step: Callable[[str], None]) -> None:
        self._disk = disk
        self._clock = clock
        self._step = step
        self.count = 0
        """Fragments given up since this process started."""

    def attach(self, files: FragmentFiles, journal: Journal, evictor: Evictor) -> None:
        """Use a folder that was opened, or opened again."""
        self._files = files
        self._journal = journal
        self._evictor = evictor

    def discard(
        self, one: FragmentId, why: str, quarantine: QuarantineReason | None = None
    ) -> None:
        """Give up a fragment that cannot be sent; `quarantine`: its file is kept with that suffix.

        Does nothing where the fragment is not known or was given up before.
        """
        row = self._journal.fragment(one.run, one.seq)
        if row is None or row.state is FragmentState.GIVEN_UP:
            return
        path = self._files.path(one.camera, one.run, one.seq)
        if quarantine is not None and path.exists():
            self._files.quarantine(path, quarantine)
        else:
            self._files.remove(one.camera, one.run, one.seq)
        self._step("given up")
        with self._journal.transaction():
            self._journal.set_state([one], FragmentState.GIVEN_UP)
            self._journal.without_file(one)
            self._journal.losses.add(loss_of(row, why, self._clock.now_ms()))
        self._evictor.removed(row.size)
        self.count += 1
        metrics.GIVEN_UP.labels(one.camera, why).inc()

    def discard_for_space(self, row: SpooledFragment) -> None:
        """Give up a fragment that is nowhere else, because there is no space."""
        log.error(
            "no space is left: a fragment that was not uploaded is given up",
            extra={"camera": row.camera, "run": row.run, "seq": row.seq},
        )
        self.discard(row.id, "space")

    def unreadable(self, one: FragmentId, error: OSError) -> None:
        """Give up a fragment whose file cannot be read, unless the disk is the cause.

        Raises DiskError where it is.
        """
        gone = isinstance(error, FileNotFoundError)
        disk_failed = self._disk.check() != "good" or (
            not gone and self._disk.probe() not in ("good", "full")
        )
        if disk_failed:
            raise self._disk.failed(error)
        self.discard(one, "file gone" if gone else "unreadable")

    def readable_event(self, row: SpooledFragment) -> FragmentArrived | None:
        """Return the event in a row; where that is damaged, the event in the file.

        None: both are damaged, and the fragment is given up. Raises OSError, DiskError.
        """
        try:
            event = self._files.event_in(row)
        except MediaError as error:
            log.error("%s", error)
            self.discard(row.id, "damaged", quarantine="damaged")
            return None
        if (text := encode(event).decode()) != row.event:
            self._journal.repair_event(row.id, text)
        return event.with_previous(row.prev_sha256)

    def discard_unwritten(
        self, started: RunStarted, unwritten: UnwrittenRange, begin: Callable[[RunStarted], None]
    ) -> None:
        """Record fragments that never reached the disk; `begin` adds their run where it is new."""
        camera, run = started.camera, started.run
        with self._journal.transaction():
            begin(started)
            for seq in range(unwritten.first, unwritten.last + 1):
                row = SpooledFragment(
                    camera, run, seq, unwritten.start_ms, 0, "", FragmentState.GIVEN_UP
                )
                self._journal.put_fragment(row, unwritten.end_ms)
            self._journal.losses.add(
                Loss(
                    camera=camera,
                    run=run,
                    first_seq=unwritten.first,
                    last_seq=unwritten.last,
                    from_ms=unwritten.start_ms,
                    to_ms=unwritten.end_ms,
                    bytes=0,
                    why=unwritten.why,
                    at_ms=self._clock.now_ms(),
                )
            )
        self.count += unwritten.last - unwritten.first + 1
