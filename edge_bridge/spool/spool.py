"""The rules of the spool: in which order disk and rows change, and what is then true.

    fragment   file written, synced, renamed, folder synced ── row `stored`
               PUT to S3 ── row `uploaded` ── notice sent ── row `noticed` ── space needed: gone
    run's end  row `ended` ── all its fragments noticed or given up ── its event fixed
               ── end.json in S3 ── notice sent ── forgotten once its files are gone

A crash between any two steps is mended at the next start (recovery.py). All methods belong to one
thread (owner.py).
"""

import contextlib
import errno
import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from domain.events import FragmentArrived, RunEnded, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId
from domain.times import utc_ms
from domain.unset_clock import is_held
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import run_ends
from edge_bridge.spool.discard import Discarder, QuarantineReason
from edge_bridge.spool.disk import SpoolDisk, check_own_disk
from edge_bridge.spool.eviction import Evictor
from edge_bridge.spool.open import OpenedSpool, SpoolOpener
from edge_bridge.spool.outbox import Outbox
from edge_bridge.spool.rows import (
    EndState,
    FragmentState,
    OutboxMessage,
    SpoolCounts,
    SpooledFragment,
    SpooledRun,
)
from edge_bridge.spool.undated import UndatedFootage
from edge_bridge.spool.undated_rows import UNDATED_PREFIX
from edge_bridge.spool.unwritten import UnwrittenRange

log = logging.getLogger(__name__)


class Spool:
    """One folder, held by one process. Make it with `open_spool`."""

    def __init__(
        self,
        opener: SpoolOpener,
        limits: SpoolLimits,
        *,
        free_bytes: Callable[[], int] | None,
        clock: EdgeClock,
    ) -> None:
        self._opener = opener
        self._limits = limits
        self._step = opener.step
        self._clock = clock
        parts = opener.open()
        self.disk = SpoolDisk(opener.folder, parts.lock)
        self._giving_up = Discarder(self.disk, clock, opener.step)
        let_go = self._giving_up.evicted
        self._space = Evictor(limits, self.disk, let_go, opener.step, free_bytes)
        self._take(parts)

    def _take(self, parts: OpenedSpool) -> None:
        self.files, self.journal, self._lock = parts.files, parts.journal, parts.lock
        self._space.take(parts.files, parts.journal)
        self._giving_up.take(parts.files, parts.journal, self._space)
        self._outbox = Outbox(self.journal)
        self._held = UndatedFootage(self.files, self.journal, self._clock)
        self._recovery = parts.recovery

    def reopen(self, live: Collection[str], damaged: str | None = None) -> None:
        """Open the folder anew after its disk was away, or its journal found to be damaged (how);
        `live` runs go on. Raises ConfigError.
        """
        self._recovery.stop()
        with contextlib.suppress(sqlite3.Error, OSError):
            self.journal.close()
        with contextlib.suppress(OSError):
            self._lock.close()
        suspected = self.disk.state == "failing"
        parts = self._opener.open(live, suspected=suspected, damaged=damaged)
        self._take(parts)
        self.disk.opened(parts.lock)
        for run in live:
            self.journal.reopen_run(run)

    @property
    def recovering(self) -> bool:
        """Whether what an earlier run left is still being looked at; from any thread."""
        return not self._recovery.over

    def recover(self, for_s: float) -> bool:
        """Go on mending what an earlier run left, for about so long; True: there is more.

        Raises ValueError or sqlite3.Error where the journal cannot be read.
        """
        messages = self._recovery.messages
        more = self._recovery.run_for(for_s)
        self._space.recount()
        if self._recovery.messages != messages:
            self._outbox.recount()
        return more

    def restart_recovery(self) -> None:
        """Begin mending once more, where it failed."""
        if self._recovery.stopped:
            self._recovery = self._recovery.restart()
            self._space.recount()
            self._outbox.recount()

    def close(self) -> None:
        """Close the journal and let the folder go."""
        self._recovery.stop()
        self.journal.close()
        self._lock.close()

    @property
    def given_up(self) -> int:
        """Fragments given up since this process began."""
        return self._giving_up.count

    @property
    def file_bytes(self) -> int:
        """Bytes of fragments on the disk."""
        return self._space.bytes

    def free_bytes(self) -> int:
        """Return the free bytes of the disk."""
        return self._space.free_bytes()

    def hour_bytes(self) -> int:
        """Return what all cameras bring in an hour, as measured; 0 while that is not known."""
        return self._space.hour_bytes()

    def min_free_bytes(self) -> int:
        """Return the bytes of the disk that stay free as the cameras send now."""
        return self._space.min_free_bytes()

    def set_limits(self, limits: SpoolLimits) -> None:
        """Keep within other limits from now on."""
        self._limits = self._space.limits = limits

    # What capture does

    def store(self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted) -> bool:
        """Keep a fragment durably; False: the disk would not take it, its seq is given up."""
        try:
            self._write(event, data)
        except OSError as error:
            self.disk.failed(error)
            self.give_up_unwritten(event, started, self.disk.state)
            return False
        try:
            self._insert_rows(event, started)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            self._space.evict_for(len(data), event.camera)
            self._insert_rows(event, started)
        self._step("row written")
        self._space.added(event.size_bytes)
        if self.disk.state == "full":
            self.disk.set_state("good")
        self.evict()
        return True

    def _insert_rows(self, event: FragmentArrived, started: RunStarted) -> None:
        with self.journal.transaction():
            self._begin_run(started)
            self.journal.put_fragment(SpooledFragment.of(event, FragmentState.STORED), event.end_ms)

    def has(self, event: FragmentArrived) -> bool:
        """Return whether a fragment's row stands."""
        try:
            return self.journal.fragment(event.run, event.seq) is not None
        except sqlite3.Error:
            return False

    def remove_file(self, event: FragmentArrived) -> None:
        """Remove the file of a fragment whose row could not be written."""
        with contextlib.suppress(OSError):
            self.files.remove(event.camera, event.run, event.seq)

    def give_up_unwritten(
        self, event: FragmentArrived, started: RunStarted, why: str = "disk"
    ) -> None:
        """Note that a fragment never reached the disk, so that its run's end can say it."""
        one = UnwrittenRange(event.seq, event.seq, event.start_ms, event.end_ms, f"disk {why}")
        self.give_up_range(started, one)
        metrics.GIVEN_UP.labels(event.camera, one.why).inc()

    def give_up_range(self, started: RunStarted, missed: UnwrittenRange) -> None:
        """Note that fragments never reached the disk; they are counted already."""
        self._giving_up.unwritten(started, missed, self._begin_run)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End an open run; one without any fragment is forgotten, for nobody heard of it."""
        self.journal.end_run(run, ended_ms, reason[:500])

    def put_message(self, kind: str, body: bytes) -> None:
        """Add a message to the outbox; the oldest detections make room where it is full."""
        self.put_messages([(kind, body)])

    def put_messages(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Add messages in order, all or none; the oldest detections make room for them."""
        self._outbox.put(messages, self._limits.outbox_max_bytes)

    def stamp_undated(self) -> bool:
        """Stamp a few of the fragments held back while the clock was wrong; True: call again."""
        try:
            more = self._held.stamp(recovered=not self.recovering)
        except OSError as error:
            log.error("footage held back cannot be stamped: %s", error.strerror)
            self.evict()
            return False
        self._space.bytes -= self._held.freed_bytes
        if self._held.messages_moved:
            self._outbox.recount()
        self._held.freed_bytes = self._held.messages_moved = 0
        return more

    # What uploading does

    def waiting(
        self, limit: int, *, from_ms: int = 0, to_ms: int = 1 << 48
    ) -> list[SpooledFragment]:
        """Return fragments to be uploaded that start in that time, oldest first."""
        return self.journal.waiting.between(from_ms, to_ms, limit)

    def messages(self, limit: int) -> list[OutboxMessage]:
        """Return the oldest messages, in order."""
        return self.journal.messages(limit)

    def unnoticed(self, limit: int) -> list[SpooledFragment]:
        """Return fragments that stand in S3 and whose notice is due, oldest first."""
        return self.journal.fragments(FragmentState.UPLOADED, limit)

    def uploaded(self, one: FragmentId) -> None:
        """Note that a fragment stands in S3."""
        self.journal.set_state([one], FragmentState.UPLOADED)

    def event_of(self, row: SpooledFragment) -> FragmentArrived | None:
        """Return what a row says of its fragment; where that cannot be read, the file says it.

        None: neither can; it is given up then. Raises OSError, DiskError.
        """
        return self._giving_up.readable_event(row)

    def give_up(self, one: FragmentId, why: str, keep: QuarantineReason | None = None) -> None:
        """Let a fragment go that cannot be sent; its run's end will say so.

        `keep`: its file is set aside, for whoever wants to look at it, until room is needed.
        """
        self._giving_up.one(one, why, keep)

    def unreadable(self, one: FragmentId, error: OSError) -> None:
        """Give a fragment up whose file cannot be read, unless it is the disk that is at fault.

        Raises DiskError then.
        """
        self._giving_up.unreadable(one, error)

    def sent(
        self, noticed: Sequence[FragmentId], messages: Sequence[OutboxMessage], ended: Sequence[str]
    ) -> None:
        """Note what the queue has taken: notices, messages and ends of runs."""
        with self.journal.transaction():
            self.journal.set_state(noticed, FragmentState.NOTICED)
            self.journal.drop_messages(message.id for message in messages)
            for run in ended:
                self.journal.set_end_state(run, EndState.NOTICED)
            if ended:
                self.journal.forget_runs()
        self._outbox.sent([message.body for message in messages])

    def ends_to_write(self, limit: int) -> list[tuple[SpooledRun, RunEnded]]:
        """Return runs whose end can be written to S3, each with its event, fixed for good."""
        return run_ends.to_write(self.journal, limit, self._recovery.may_end)

    def ends_to_notice(self) -> list[tuple[str, bytes]]:
        """Return run and event of the ends that stand in S3 and whose notice is due."""
        return run_ends.to_notice(self.journal)

    def end_written(self, run: str, event: RunEnded | None = None) -> None:
        """Note that a run's end.json stands; `event`: what it says where it stood before."""
        run_ends.written(self.journal, run, event)

    def counts(self) -> SpoolCounts:
        """Return what is on its way."""
        return replace(self.journal.counts(), recovering=self.recovering)

    def evict(self) -> None:
        """Delete until bytes and free space are within the limits, in the order of room.py."""
        self._space.evict()

    def _write(self, event: FragmentArrived, data: bytes | bytearray) -> None:
        try:
            self.files.write(event, data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._space.evict_for(len(data), event.camera)
            self.files.write(event, data)

    def _begin_run(self, started: RunStarted) -> None:
        if self.journal.put_run(started.run, started.camera):
            self._recovery.begun(started.run)
            body = encode(started)
            kind = UNDATED_PREFIX + started.type if is_held(started.run) else started.type
            self._outbox.put_start(kind, body, self._limits.outbox_max_bytes)


def open_spool(
    folder: Path,
    edge: str,
    limits: SpoolLimits,
    *,
    step: Callable[[str], None] = lambda _: None,
    free_bytes: Callable[[], int] | None = None,
    now_ms: Callable[[], int] = utc_ms,
    clock: EdgeClock | None = None,
    own_disk: bool = False,
    background_recovery: bool = False,
) -> Spool:
    """Take the folder for this process, mend what a crash left and return the spool.

    `background_recovery`: what a crash left is mended by `mend`, beside recording, and not here.
    Raises ConfigError where the folder cannot be used, another process holds it, or it should lie
    on a disk of its own (`own_disk`) and does not.
    """
    if own_disk:
        check_own_disk(folder)
    opener = SpoolOpener(folder, edge, step, now_ms, background_recovery)
    return Spool(opener, limits, free_bytes=free_bytes, clock=clock or EdgeClock())
