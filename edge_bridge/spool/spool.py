"""The rules of the spool: in which order disk and rows change, and what is true afterwards.

    fragment   file written in pieces, synced, renamed, folder synced ── row `stored`
               PUT to S3 ── row `uploaded` ── notice sent ── row `noticed` ── evicted for space
    run's end  row `ended` ── all its fragments noticed or given up ── its event fixed
               ── end.json in S3 ── notice sent ── deleted once its files are gone

Recovery (recovery.py) repairs at the next start what a crash between two steps left. All methods
run on the spool's thread (thread.py).
"""

import contextlib
import errno
import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from domain.events import FragmentArrived, RunEnded, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId
from domain.times import utc_ms
from domain.unset_clock import is_undated
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import run_ends
from edge_bridge.spool.discard import Discarder, QuarantineReason
from edge_bridge.spool.disk import SpoolDisk, check_own_disk
from edge_bridge.spool.eviction import Evictor
from edge_bridge.spool.journal_file import JOURNAL_ERRORS
from edge_bridge.spool.open import OpenedSpool, SpoolOpener
from edge_bridge.spool.outbox import Outbox
from edge_bridge.spool.part_files import PartLostError
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


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClosedFragment:
    """A complete fragment; `rest` are its bytes after those in its part file."""

    event: FragmentArrived
    rest: Sequence[bytes | bytearray]
    started: RunStarted


class Spool:
    """One folder, used by one process. Make it with `open_spool`."""

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
        self._discarder = Discarder(self.disk, clock, opener.step)
        self._evictor = Evictor(
            limits, self.disk, self._discarder.discard_for_space, opener.step, free_bytes
        )
        self._attach(parts)

    def _attach(self, parts: OpenedSpool) -> None:
        self.files = parts.files
        self.journal = parts.journal
        self._lock = parts.lock
        self._evictor.attach(parts.files, parts.journal)
        self._discarder.attach(parts.files, parts.journal, self._evictor)
        self._outbox = Outbox(self.journal)
        self._undated = UndatedFootage(self.files, self.journal, self._clock)
        self._recovery = parts.recovery

    def reopen(self, live: Collection[str], damaged: str | None = None) -> list[FragmentId]:
        """Open the folder again after its disk was away, or its journal is `damaged` (how).

        `live` runs continue. Returns the fragments that grew, of which the file is not there any
        more. Raises ConfigError.
        """
        self._recovery.stop()
        with contextlib.suppress(*JOURNAL_ERRORS, OSError):
            self.journal.close()
        with contextlib.suppress(OSError):
            self._lock.close()
        suspected = self.disk.state == "failing"
        parts = self._opener.open(live, suspected=suspected, damaged=damaged)
        self._attach(parts)
        self.disk.opened(parts.lock)
        for run in live:
            self.journal.reopen_run(run)
        return self._opener.parts.drop_lost()

    @property
    def recovering(self) -> bool:
        """Whether recovery still runs; from any thread."""
        return not self._recovery.done

    def recover(self, for_s: float) -> bool:
        """Recover for about this long; True: there is more.

        Raises ValueError or sqlite3.Error where the journal cannot be read.
        """
        messages = self._recovery.messages
        more = self._recovery.run_for(for_s)
        self._evictor.recount()
        if self._recovery.messages != messages:
            self._outbox.recount()
        return more

    def restart_recovery(self) -> None:
        """Start recovery again where it failed."""
        if self._recovery.stopped:
            self._recovery = self._recovery.restart()
            self._evictor.recount()
            self._outbox.recount()

    def close(self) -> None:
        """Close the journal and unlock the folder. What still grows is left for recovery."""
        self._recovery.stop()
        self._opener.parts.close()
        self.journal.close()
        self._lock.close()

    @property
    def given_up(self) -> int:
        """Fragments given up since this process started."""
        return self._discarder.count

    @property
    def file_bytes(self) -> int:
        """Bytes of the fragments on the disk."""
        return self._evictor.bytes

    def hour_bytes(self) -> int:
        """Return what all cameras bring in an hour, as measured; 0: not known yet."""
        return self._evictor.hour_bytes()

    def min_free_bytes(self) -> int:
        """Return how many bytes of the disk stay free at the cameras' present rate."""
        return self._evictor.min_free_bytes()

    @property
    def limits(self) -> SpoolLimits:
        """The limits in use."""
        return self._limits

    def set_limits(self, limits: SpoolLimits) -> None:
        """Use other limits from the next fragment on."""
        self._limits = limits
        self._evictor.limits = limits

    # For capture

    def append(self, one: FragmentId, pieces: Sequence[bytes | bytearray], at: int) -> None:
        """Append to the file of a fragment that grows, after its first `at` bytes.

        Raises OSError or an error of the journal; the file is as before. Raises PartLostError
        where these bytes are not there.
        """
        size = sum(map(len, pieces))
        self._with_space(one.camera, size, lambda: self.files.append(one, pieces, at))

    def discard(self, one: FragmentId) -> None:
        """Delete the part file of a fragment that is never completed."""
        self.files.discard(one)

    def store(self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted) -> bool:
        """Store a fragment durably; False: the disk refused it, and it is given up."""
        refused = self.store_all([ClosedFragment(event, [data], started)])
        for one, why in refused:
            self.give_up_unwritten(one.event, one.started, why)
        return not refused

    def store_all(self, closed: Sequence[ClosedFragment]) -> list[tuple[ClosedFragment, str]]:
        """Store fragments durably: each file is synced, then each folder, then their rows at once.

        Returns those that the disk refused, and why. None of their files is left; the caller
        records them.
        """
        refused: list[tuple[ClosedFragment, str]] = []
        written: list[tuple[ClosedFragment, Path]] = []
        for one in closed:
            try:
                written.append((one, self._write_file(one)))
            except PartLostError as error:
                log.error("%s", error, extra={"camera": one.event.camera, "run": one.event.run})
                refused.append((one, "damaged"))
            except (OSError, *JOURNAL_ERRORS) as error:
                self.disk.failed(error)
                refused.append((one, f"disk {self.disk.state}"))
        stored = [one for one, _ in written]
        if stored:
            try:
                self.files.sync_folders(folder for _, folder in written)
                self._insert_rows(stored)
            except (OSError, *JOURNAL_ERRORS) as error:
                self.disk.failed(error)
                lost = [one for one in stored if not self.has(one.event)]
                refused += [(one, f"disk {self.disk.state}") for one in lost]
                stored = [one for one in stored if one not in lost]
        for one, _ in refused:
            self.remove_file(one.event)
        if stored:
            self._stored(stored)
        return refused

    def _write_file(self, one: ClosedFragment) -> Path:
        size = sum(map(len, one.rest))
        return self._with_space(
            one.event.camera, size, lambda: self.files.complete(one.event, one.rest)
        )

    def _with_space(self, camera: str, size: int, write: Callable[[], T]) -> T:
        """Write; where the disk is full, make space and write again."""
        try:
            return write()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._evictor.evict_for(size, camera)
            return write()

    def _insert_rows(self, stored: Sequence[ClosedFragment]) -> None:
        try:
            self._insert(stored)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
                raise
            for one in stored:  # each makes space at the cost of its own camera's priority
                self._evictor.evict_for(one.event.size_bytes, one.event.camera)
                self._insert([one])
        self._step("row written")

    def _insert(self, stored: Sequence[ClosedFragment]) -> None:
        with self.journal.transaction():
            for one in stored:
                self._start_run(one.started)
                row = SpooledFragment.of(one.event, FragmentState.STORED)
                self.journal.put_fragment(row, one.event.end_ms)

    def _stored(self, stored: Sequence[ClosedFragment]) -> None:
        for one in stored:
            self._evictor.added(one.event.size_bytes)
        if self.disk.state == "full":
            self.disk.set_state("good")
        try:
            self.evict()
        except (OSError, *JOURNAL_ERRORS) as error:
            self.disk.failed(error)

    def has(self, event: FragmentArrived) -> bool:
        """Return whether a fragment has a row."""
        try:
            return self.journal.fragment(event.run, event.seq) is not None
        except JOURNAL_ERRORS:
            return False

    def remove_file(self, event: FragmentArrived) -> None:
        """Remove the files of a fragment that has no row."""
        with contextlib.suppress(OSError):
            self.files.discard(FragmentId(event.camera, event.run, event.seq))
            self.files.remove(event.camera, event.run, event.seq)

    def give_up_unwritten(self, event: FragmentArrived, started: RunStarted, why: str) -> None:
        """Record that a fragment never reached the disk, so that its run's end lists it."""
        one = UnwrittenRange(event.seq, event.seq, event.start_ms, event.end_ms, why)
        self.give_up_range(started, one)
        metrics.GIVEN_UP.labels(event.camera, one.why).inc()

    def give_up_range(self, started: RunStarted, unwritten: UnwrittenRange) -> None:
        """Record that fragments never reached the disk; the metric counted them already."""
        self._discarder.discard_unwritten(started, unwritten, self._start_run)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End an open run; does nothing where the run has no row: it has no fragment."""
        self.journal.end_run(run, ended_ms, reason[:500])

    def put_message(self, kind: str, body: bytes) -> None:
        """Add a message to the outbox; the oldest detections are dropped where it is full."""
        self.put_messages([(kind, body)])

    def put_messages(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Add messages in order, all or none; the oldest detections are dropped for them."""
        self._outbox.put(messages, self._limits.outbox_max_bytes)

    def stamp_undated(self) -> bool:
        """Give a few undated fragments their time, once it is known; True: call again."""
        try:
            more = self._undated.stamp(recovered=not self.recovering)
        except OSError as error:
            log.error("undated footage cannot be rewritten with its time: %s", error.strerror)
            self.evict()
            return False
        freed_bytes, moved_messages = self._undated.take_counts()
        self._evictor.removed(freed_bytes)
        if moved_messages:
            self._outbox.recount()
        return more

    # For the uploads

    def waiting(
        self, limit: int, *, from_ms: int = 0, to_ms: int = 1 << 48
    ) -> list[SpooledFragment]:
        """Return fragments to upload that start in that time, oldest first."""
        return self.journal.waiting.between(from_ms, to_ms, limit)

    def messages(self, limit: int) -> list[OutboxMessage]:
        """Return the oldest messages, in order."""
        return self.journal.messages(limit)

    def unnoticed(self, limit: int) -> list[SpooledFragment]:
        """Return fragments that are in S3 and whose notice is due, oldest first."""
        return self.journal.fragments(FragmentState.UPLOADED, limit)

    def uploaded(self, one: FragmentId) -> None:
        """Record that a fragment is in S3."""
        self.journal.set_state([one], FragmentState.UPLOADED)

    def event_of(self, row: SpooledFragment) -> FragmentArrived | None:
        """Return the event in a row; where that is damaged, the event in the file.

        None: both are damaged, and the fragment is given up. Raises OSError, DiskError.
        """
        return self._discarder.readable_event(row)

    def give_up(
        self, one: FragmentId, why: str, quarantine: QuarantineReason | None = None
    ) -> None:
        """Give up a fragment that cannot be sent; its run's end will list it.

        `quarantine`: its file is kept for inspection until space is needed.
        """
        self._discarder.discard(one, why, quarantine)

    def unreadable(self, one: FragmentId, error: OSError) -> None:
        """Give up a fragment whose file cannot be read, unless the disk is the cause.

        Raises DiskError where it is.
        """
        self._discarder.unreadable(one, error)

    def sent(
        self,
        noticed: Sequence[FragmentId],
        messages: Sequence[OutboxMessage],
        ended: Sequence[str],
    ) -> None:
        """Record what the queue accepted: notices, messages and ends of runs."""
        with self.journal.transaction():
            self.journal.set_state(noticed, FragmentState.NOTICED)
            self.journal.drop_messages(message.id for message in messages)
            for run in ended:
                self.journal.set_end_state(run, EndState.NOTICED)
            if ended:
                self.journal.drop_ended_runs()
        self._outbox.sent([message.body for message in messages])

    def ends_to_write(self, limit: int) -> list[tuple[SpooledRun, RunEnded]]:
        """Return runs whose end can be written to S3, each with its event, which is fixed now."""
        return run_ends.to_write(self.journal, limit, self._recovery.is_complete)

    def ends_to_notice(self) -> list[tuple[str, bytes]]:
        """Return run and event of the ends that are in S3 and whose notice is due."""
        return run_ends.to_notice(self.journal)

    def end_written(self, run: str, event: RunEnded | None = None) -> None:
        """Record that a run's end.json is in S3; `event`: its content, if it was there before."""
        run_ends.written(self.journal, run, event)

    def counts(self) -> SpoolCounts:
        """Return how much waits for the cloud."""
        return replace(self.journal.counts(), recovering=self.recovering)

    def evict(self) -> None:
        """Delete until used and free bytes are within the limits, in the order of eviction.py."""
        self._evictor.evict()

    def _start_run(self, started: RunStarted) -> None:
        if self.journal.put_run(started.run, started.camera):
            self._recovery.run_started(started.run)
            body = encode(started)
            kind = UNDATED_PREFIX + started.type if is_undated(started.run) else started.type
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
    """Lock the folder for this process, recover what a crash left and return the spool.

    `background_recovery`: recovery is done by `Spool.recover`, alongside recording, and not here.
    Raises ConfigError where the folder cannot be used or another process uses it. Also where it
    should be on a disk of its own (`own_disk`) and is not.
    """
    if own_disk:
        check_own_disk(folder)
    opener = SpoolOpener(folder, edge, step, now_ms, background_recovery)
    return Spool(opener, limits, free_bytes=free_bytes, clock=clock or EdgeClock())
