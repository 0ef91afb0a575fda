"""The rules of the spool: order of disk and rows, and what is given up for space.

    fragment   file written, synced, renamed, folder synced ── row `stored`
               PUT to S3 ── row `uploaded` ── notice sent ── row `noticed` ── space needed: gone
    run's end  row `ended` ── all its fragments noticed or given up ── its event fixed
               ── end.json in S3 ── notice sent ── forgotten once its files are gone

A crash between any two steps is mended at the next start (recovery.py). All methods belong to one
thread (owner.py).
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from domain.errors import ConfigError, StoreError
from domain.events import FragmentArrived, RunEnded, RunStarted
from domain.events.registry import encode
from domain.identity import FragmentId
from domain.unset_clock import is_held
from edge_bridge import metrics
from edge_bridge.clock import EdgeClock
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.held import Held
from edge_bridge.spool.held_rows import HELD
from edge_bridge.spool.journal import (
    Counts,
    EndState,
    FragmentRow,
    Journal,
    MessageRow,
    RunRow,
    State,
)
from edge_bridge.spool.recovery import recover

log = logging.getLogger(__name__)

DROPPED_FIRST = "detection"
"""The type of message that is dropped, oldest first, when the outbox is full."""
_FREE_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """How much of the disk the spool may use."""

    max_bytes: int = 50 << 30
    free_floor_bytes: int = 2 << 30
    outbox_max_bytes: int = 64 << 20


class Spool:
    """One folder, held by one process. Make it with `open_spool`."""

    def __init__(
        self,
        files: FragmentFiles,
        journal: Journal,
        lock: IO[str],
        limits: SpoolLimits,
        *,
        step: Callable[[str], None],
        free_bytes: Callable[[], int],
        clock: EdgeClock,
    ) -> None:
        self.files = files
        self.journal = journal
        self._lock = lock
        self._limits = limits
        self._step = step
        self.free_bytes = free_bytes
        self.bytes = journal.file_bytes()
        self._message_bytes = journal.message_bytes()
        self._held = Held(files, journal, clock)

    def close(self) -> None:
        """Close the journal and let the folder go."""
        self.journal.close()
        self._lock.close()

    # What capture does

    def store(self, event: FragmentArrived, data: bytes, started: RunStarted) -> bool:
        """Keep a fragment durably; False: the disk would not take it, its seq is given up."""
        try:
            self._write(event, data)
        except OSError as error:
            log.error(
                "the disk does not take fragments: %s", error.strerror,
                extra={"camera": event.camera, "run": event.run, "seq": event.seq},
            )  # fmt: skip
            self.give_up_unseen(event, started)
            return False
        with self.journal.together():
            self._begin_run(started)
            self.journal.put_fragment(_row(event, State.STORED), event.end_ms)
        self._step("row written")
        self.bytes += event.size_bytes
        self.make_room()
        return True

    def give_up_unseen(self, event: FragmentArrived, started: RunStarted) -> None:
        """Note that a fragment never reached the disk, so that its run's end can say it."""
        with self.journal.together():
            self._begin_run(started)
            row = FragmentRow(
                event.camera, event.run, event.seq, event.start_ms, 0, "", State.GIVEN_UP
            )
            self.journal.put_fragment(row, event.end_ms)
        metrics.GIVEN_UP.labels(event.camera, "disk").inc()

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End an open run; one without any fragment is forgotten, for nobody heard of it."""
        self.journal.end_run(run, ended_ms, reason[:500])

    def put_message(self, kind: str, body: bytes) -> None:
        """Add a message to the outbox; the oldest detections make room where it is full."""
        over = self._message_bytes + len(body) - self._limits.outbox_max_bytes
        if over > 0:
            dropped = self.journal.drop_oldest_messages(DROPPED_FIRST, over)
            if not dropped:
                dropped = self.journal.drop_oldest_messages(HELD + DROPPED_FIRST, over)
            metrics.MESSAGES_DROPPED.inc(dropped)
            self._message_bytes = self.journal.message_bytes()
            log.warning("the outbox is full: %d of the oldest detections dropped", dropped)
        self.journal.put_message(kind, body)
        self._message_bytes += len(body)

    def stamp_held(self) -> bool:
        """Stamp a few of the fragments held back while the clock was wrong; True: call again."""
        try:
            more = self._held.stamp()
        except OSError as error:
            log.error("footage held back cannot be stamped: %s", error.strerror)
            self.make_room()
            return False
        if more:
            self.bytes = self.journal.file_bytes()
            self._message_bytes = self.journal.message_bytes()
        return more

    # What uploading does

    def waiting(self, limit: int, *, newest_first: bool) -> list[FragmentRow]:
        """Return fragments to be uploaded."""
        return self.journal.fragments(State.STORED, limit, newest_first=newest_first)

    def unnoticed(self, limit: int) -> list[FragmentRow]:
        """Return fragments that stand in S3 and whose notice is due, oldest first."""
        return self.journal.fragments(State.UPLOADED, limit)

    def uploaded(self, one: FragmentId) -> None:
        """Note that a fragment stands in S3."""
        self.journal.set_state([one], State.UPLOADED)

    def give_up(self, one: FragmentId, why: str) -> None:
        """Let a fragment go that cannot be sent; its run's end will say so."""
        with self.journal.together():
            self.journal.set_state([one], State.GIVEN_UP)
            self.journal.without_file(one)
        self._step("given up")
        self.files.remove(one.camera, one.run, one.seq)
        self.bytes = self.journal.file_bytes()
        metrics.GIVEN_UP.labels(one.camera, why).inc()

    def sent(
        self, noticed: Sequence[FragmentId], messages: Sequence[MessageRow], ended: Sequence[str]
    ) -> None:
        """Note what the queue has taken: notices, messages and ends of runs."""
        with self.journal.together():
            self.journal.set_state(noticed, State.NOTICED)
            self.journal.drop_messages(message.id for message in messages)
            for run in ended:
                self.journal.set_end_state(run, EndState.NOTICED)
            if ended:
                self.journal.forget_runs()
        self._message_bytes -= sum(len(message.body) for message in messages)

    def ends_to_write(self, limit: int) -> list[tuple[RunRow, RunEnded]]:
        """Return runs whose end can be written to S3, each with its event, fixed for good."""
        out = []
        for run in self.journal.settled_runs()[:limit]:
            if run.end_event is None:
                event = self._end_event(run)
                self.journal.freeze_end(run.run, encode(event).decode())
            else:
                event = RunEnded.model_validate_json(run.end_event)
            out.append((run, event))
        return out

    def ends_to_notice(self) -> list[tuple[str, bytes]]:
        """Return run and event of the ends that stand in S3 and whose notice is due."""
        return [
            (run.run, run.end_event.encode())
            for run in self.journal.runs(EndState.WRITTEN)
            if run.end_event is not None
        ]

    def end_written(self, run: str, event: RunEnded | None = None) -> None:
        """Note that a run's end.json stands; `event`: what it says where it stood before."""
        with self.journal.together():
            if event is not None:
                self.journal.freeze_end(run, encode(event).decode())
            self.journal.set_end_state(run, EndState.WRITTEN)

    def counts(self) -> Counts:
        """Return what is on its way."""
        return self.journal.counts()

    def make_room(self) -> None:
        """Delete until bytes and free space are within the limits.

        First what the cloud has been told of, oldest first; then files that stand in S3; as the
        last resort, counted and logged, the oldest that nobody else has.
        """
        while self._short():
            if noticed := self.journal.fragments(State.NOTICED, _FREE_AT_ONCE):
                for row in noticed:
                    self._free(row)
                    self._step("file freed")
                    self.journal.drop_fragment(row.id)
                    if not self._short():
                        break
                self.journal.forget_runs()
            elif uploaded := [
                row for row in self.journal.fragments(State.UPLOADED, _FREE_AT_ONCE) if row.size
            ]:
                self._free(uploaded[0])
                self.journal.without_file(uploaded[0].id)
            elif stored := self.journal.fragments(State.STORED, 1, held=True):
                log.error(
                    "no space is left: a fragment that was not uploaded is given up",
                    extra={"camera": stored[0].camera, "run": stored[0].run, "seq": stored[0].seq},
                )
                self.give_up(stored[0].id, "space")
            else:
                return

    def _short(self) -> bool:
        return (
            self.bytes > self._limits.max_bytes or self.free_bytes() < self._limits.free_floor_bytes
        )

    def _free(self, row: FragmentRow) -> None:
        self.files.remove(row.camera, row.run, row.seq)
        self.bytes -= row.size

    def _write(self, event: FragmentArrived, data: bytes) -> None:
        try:
            self.files.write(event, data)
        except OSError:
            self.make_room()
            self.files.write(event, data)

    def _begin_run(self, started: RunStarted) -> None:
        if self.journal.put_run(started.run, started.camera):
            body = encode(started)
            kind = HELD + started.type if is_held(started.run) else started.type
            self.journal.put_message(kind, body)
            self._message_bytes += len(body)

    def _end_event(self, run: RunRow) -> RunEnded:
        return RunEnded(
            camera=run.camera,
            run=run.run,
            ended_ms=run.ended_ms or run.last_ms,
            last_seq=run.last_seq,
            reason=run.reason or "unknown",
            given_up=list(self.journal.given_up(run.run).ranges),
        )


def open_spool(
    folder: Path,
    edge: str,
    limits: SpoolLimits,
    *,
    step: Callable[[str], None] = lambda _: None,
    free_bytes: Callable[[], int] | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    clock: EdgeClock | None = None,
) -> Spool:
    """Take the folder for this process, mend what a crash left and return the spool.

    Raises ConfigError where the folder cannot be used or another process holds it.
    """
    lock = _hold(folder)
    files = FragmentFiles(folder / "fragments", step)
    files.root.mkdir(exist_ok=True)
    try:
        journal = Journal(folder / "journal.db")
    except StoreError as error:
        log.error("%s It is set aside and rebuilt from the files.", error)
        for suffix in ("", "-wal", "-shm"):
            damaged = folder / f"journal.db{suffix}"
            if damaged.exists():
                damaged.rename(folder / f"journal.damaged-{now_ms()}{suffix}")
        journal = Journal(folder / "journal.db")
    recover(files, journal, edge)
    return Spool(
        files,
        journal,
        lock,
        limits,
        step=step,
        free_bytes=free_bytes or (lambda: shutil.disk_usage(folder).free),
        clock=clock or EdgeClock(),
    )


def _hold(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"spool.dir {folder} cannot be used: {error.strerror}. Choose a writable folder."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(
            f"another process uses the spool {folder}: stop it, or choose another spool.dir."
        ) from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _row(event: FragmentArrived, state: State) -> FragmentRow:
    return FragmentRow(
        event.camera,
        event.run,
        event.seq,
        event.start_ms,
        event.size_bytes,
        encode(event).decode(),
        state,
    )
