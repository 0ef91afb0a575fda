"""What nobody will send: let go, counted, and noted with its reason; nothing is lost unsaid.

    file set aside or removed ── one transaction: row `given up`, the loss in the list

A crash in between leaves a row without a file, which recovery.py gives up. All of it belongs to
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
"""Where a file is set aside, for whoever wants to look at it, until room is needed."""


class Discarder:
    """Gives fragments up."""

    def __init__(self, disk: SpoolDisk, clock: EdgeClock, step: Callable[[str], None]) -> None:
        self._disk, self._clock, self._step = disk, clock, step
        self.count = 0
        """Fragments given up since this process began."""

    def take(self, files: FragmentFiles, journal: Journal, space: Evictor) -> None:
        """Work on a folder that was opened, or opened anew."""
        self._files, self._journal, self._space = files, journal, space

    def one(self, one: FragmentId, why: str, keep: QuarantineReason | None = None) -> None:
        """Let a fragment go that cannot be sent; `keep`: its file is set aside there."""
        row = self._journal.fragment(one.run, one.seq)
        if row is None or row.state is FragmentState.GIVEN_UP:
            return
        path = self._files.path(one.camera, one.run, one.seq)
        if keep is not None and path.exists():
            self._files.quarantine(path, keep)
        else:
            self._files.remove(one.camera, one.run, one.seq)
        self._step("given up")
        with self._journal.transaction():
            self._journal.set_state([one], FragmentState.GIVEN_UP)
            self._journal.without_file(one)
            self._journal.losses.add(loss_of(row, why, self._clock.now_ms()))
        self._space.bytes -= row.size
        self.count += 1
        metrics.GIVEN_UP.labels(one.camera, why).inc()

    def evicted(self, row: SpooledFragment) -> None:
        """Let a fragment go that nobody else has, for there is no room."""
        log.error(
            "no space is left: a fragment that was not uploaded is given up",
            extra={"camera": row.camera, "run": row.run, "seq": row.seq},
        )
        self.one(row.id, "space")

    def unreadable(self, one: FragmentId, error: OSError) -> None:
        """Let a fragment go whose file cannot be read, unless it is the disk that is at fault.

        Raises DiskError then.
        """
        gone = isinstance(error, FileNotFoundError)
        if self._disk.check() != "good" or (
            not gone and self._disk.probe() not in ("good", "full")
        ):
            raise self._disk.failed(error)
        self.one(one, "file gone" if gone else "unreadable")

    def readable_event(self, row: SpooledFragment) -> FragmentArrived | None:
        """Return what a row says of its fragment; where that cannot be read, the file says it.

        None: neither can; it is given up then. Raises OSError, DiskError.
        """
        try:
            event = self._files.event_in(row)
        except MediaError as error:
            log.error("%s", error)
            self.one(row.id, "damaged", keep="damaged")
            return None
        if (text := encode(event).decode()) != row.event:
            self._journal.repair_event(row.id, text)
        return event

    def unwritten(
        self, started: RunStarted, missed: UnwrittenRange, begin: Callable[[RunStarted], None]
    ) -> None:
        """Note fragments that never reached the disk; `begin` makes their run known before."""
        camera, run = started.camera, started.run
        with self._journal.transaction():
            begin(started)
            for seq in range(missed.first, missed.last + 1):
                row = SpooledFragment(
                    camera, run, seq, missed.start_ms, 0, "", FragmentState.GIVEN_UP
                )
                self._journal.put_fragment(row, missed.end_ms)
            self._journal.losses.add(
                Loss(
                    camera, run, missed.first, missed.last, missed.start_ms, missed.end_ms, 0,
                    missed.why, self._clock.now_ms(),
                )
            )  # fmt: skip
        self.count += missed.last - missed.first + 1
