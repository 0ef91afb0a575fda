"""The one thread that the spool runs on: others give it work and do not wait.

    capture, inference    piece, fragment, end_run, message   queued; never wait
    upload, heartbeats    call                                awaited; raises DiskError
    anyone                status, set_limits, open_file

The thread owns the spool: no one else holds it. Footage waits for it in memory (pending.py). While
the disk accepts nothing, complete fragments are given up. That, and all else that capture brings,
is kept in memory (unwritten.py) and written when the disk is back.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar

from domain.errors import VigilError
from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool import journal_file
from edge_bridge.spool.access import SpoolAccess, SpoolStatus
from edge_bridge.spool.disk import DiskError
from edge_bridge.spool.journal_file import JOURNAL_ERRORS
from edge_bridge.spool.part_files import PartLostError
from edge_bridge.spool.pending import PendingFragments, PendingWrite
from edge_bridge.spool.rows import SpooledFragment
from edge_bridge.spool.spool import ClosedFragment, Spool
from edge_bridge.spool.unwritten import UnwrittenRecords
from stores.upload_file import UploadFile

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

HANGS_S = 20.0
"""A call that takes longer: the disk hangs."""
_PROBE_EVERY_S = 1.0
"""How often a disk that is not good is tried."""
_RECOVER_S = 0.05
"""Recovery runs for this long at a time: recording waits no longer for it."""
_RECOVER_AGAIN_S = 60.0
"""How long after a failure recovery starts again."""


class SpoolThread:
    """Owns the spool and runs its methods on one thread, in the order of the calls."""

    def __init__(self, open_it: Callable[[], Spool], changed: Callable[[], None]) -> None:
        """`open_it` runs on the thread; `changed` is called from it when there is work to send.

        Raises what `open_it` raises.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._changed = changed
        self._lock = threading.Lock()
        self._live: set[str] = set()
        self._unwritten = UnwrittenRecords()
        self._draining = False
        self._busy_since_s: float | None = None
        self._probed_s = 0.0
        self._closing = False
        self._recovery_queued = False
        self._recover_again_s: float | None = None
        self._recovered_s = 0.0
        try:
            self._spool = self._thread.submit(open_it).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self._pending = PendingFragments(self._spool.limits, self._unwritten.fragment)
        self._writes_queued = 0
        self._queue_recovery()

    # From any thread

    def status(self) -> SpoolStatus:
        """Return the state of disk and spool, from memory: it never waits for the disk."""
        spool, disk = self._spool, self._spool.disk
        if self._hangs():
            disk.set_state("hanging", f"no answer for {HANGS_S:.0f} s")
        return SpoolStatus(
            disk=disk.state,
            detail=disk.detail,
            since_ms=disk.since_ms,
            accepts_rows=disk.accepts_rows,
            file_bytes=spool.file_bytes,
            hour_bytes=spool.hour_bytes(),
            given_up=spool.given_up + self._unwritten.waiting,
            recovering=spool.recovering,
        )

    def space(self) -> tuple[int, int]:
        """Return the disk's free bytes and the least that stay free; may wait for the disk."""
        return self._spool.disk.free()[0], self._spool.min_free_bytes()

    def open_file(self, row: SpooledFragment, size: int) -> UploadFile:
        """Open a fragment's file, of which `size` bytes are uploaded; waits for the disk.

        Raises OSError where the file is gone.
        """
        path = self._spool.files.path(row.camera, row.run, row.seq)
        return UploadFile(path.open("rb", buffering=0), size)

    def set_limits(self, limits: SpoolLimits) -> None:
        """Use other limits, from the next fragment on; never waits."""
        self._pending.set_limits(limits)
        self._queue_writes()

    async def call(
        self, work: Callable[Concatenate[SpoolAccess, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run work with the spool on its thread and return what it returned. Raises DiskError."""
        if self._hangs():
            raise DiskError(
                f"the spool's disk {self._spool.disk.folder} hangs: check the system's log."
            )
        return await asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def submit(
        self, work: Callable[Concatenate[SpoolAccess, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[T]":
        """Queue work with the spool on its thread; never waits. The future raises DiskError."""

        def run() -> T:
            self._check_disk()
            self._write_unwritten()
            disk = self._spool.disk
            if not disk.accepts_rows:
                raise DiskError(f"the spool's disk {disk.folder} is {disk.state}: {disk.remedy}.")
            try:
                return work(self._spool, *args, **kwargs)
            except (OSError, *JOURNAL_ERRORS) as error:
                raise self._spool.disk.failed(error) from error

        return self._submit(run)

    def piece(self, camera: str, run: str, seq: int, data: bytes | bytearray) -> None:
        """Append bytes to a fragment that grows; never waits."""
        self._pending.piece(FragmentId(camera, run, seq), data)
        self._queue_writes()

    def fragment(
        self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted
    ) -> None:
        """Store a fragment; `data`: its bytes after the pieces. Never waits.

        Where too much waits already, the oldest is given up (pending.py).
        """
        with self._lock:
            self._live.add(event.run)
        self._pending.close(event, data, started)
        self._queue_writes()
        if self._unwritten:
            self._drain()

    def discard(self, camera: str, run: str, seq: int) -> None:
        """Forget a fragment that grows; never waits."""
        self._pending.discard(FragmentId(camera, run, seq))
        self._queue_writes()

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End a run after all that was stored before; never waits."""
        self._pending.end_run(run)
        self._queue_writes()

        def end() -> None:
            with self._lock:
                self._live.discard(run)
            self._unwritten.end_run(run, ended_ms, reason)
            self._write_unwritten()

        self._watch(self._submit(end))

    def message(self, kind: str, body: bytes) -> None:
        """Put a message into the outbox; never waits."""
        self._unwritten.message(kind, body)
        self._drain()

    def close(self) -> None:
        """Finish the queued work and close the spool."""
        self._closing = True
        self._submit(self._write_unwritten)
        self._submit(self._spool.close)
        self._thread.shutdown(wait=True)

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        def timed() -> T:
            self._busy_since_s = time.monotonic()
            try:
                return work()
            finally:
                self._busy_since_s = None

        return self._thread.submit(timed)

    def _queue_writes(self) -> None:
        """Queue one writing for each fragment that has something to write."""
        while True:
            with self._lock:
                if self._writes_queued >= len(self._pending):
                    return
                self._writes_queued += 1
            self._watch(self._submit(self._write_pending))

    def _hangs(self) -> bool:
        since_s = self._busy_since_s
        return since_s is not None and time.monotonic() - since_s > HANGS_S

    def _drain(self) -> None:
        """Queue one writing of what is in memory, unless one is queued already."""
        with self._lock:
            if self._draining:
                return
            self._draining = True

        def drain() -> None:
            with self._lock:
                self._draining = False
            self._write_unwritten()

        self._watch(self._submit(drain))

    # On the spool's thread

    def _write_pending(self) -> bool:
        """Write some of what waits; return whether there may be something new to send."""
        with self._lock:
            self._writes_queued -= 1
        writes = self._pending.take()
        if isinstance(writes, SpoolLimits):
            self._spool.set_limits(writes)
            return False
        closed = [write for write in writes if write.closed is not None]
        kept: set[PendingWrite] = set()
        try:
            if writes:
                self._check_disk()
            kept.update(
                write for write in writes if write.closed is None and not self._append(write)
            )
            if closed:
                self._write_unwritten()  # losses before the footage that follows them
                self._store(closed)
        except Exception:
            # Whatever it was: what is not stored is given up, never just missing.
            for write in closed:
                self._give_up_if_missing(write)
            raise
        finally:
            for write in writes:
                if self._pending.written(write, kept=write in kept):
                    self._spool.discard(write.fragment.id)
        if closed:
            self._write_unwritten()
        return bool(closed)

    def _append(self, write: PendingWrite) -> bool:
        """Append to a growing fragment's file; False: the disk refuses it now, try again later."""
        fragment, disk = write.fragment, self._spool.disk
        if fragment.lost or fragment.discarded:
            return True
        if not disk.accepts_rows:
            return False
        try:
            self._spool.append(fragment.id, write.pieces, fragment.written)
        except PartLostError as error:
            log.error("%s", error, extra={"camera": fragment.id.camera})
            self._pending.lose(fragment.id, "damaged")
            return True
        except (OSError, *JOURNAL_ERRORS) as error:
            disk.failed(error)
            return False
        fragment.written += write.size
        return True

    def _store(self, writes: Sequence[PendingWrite]) -> None:
        """Store complete fragments, or give them up."""
        closed = [
            ClosedFragment(write.closed[0], write.pieces, write.closed[1])
            for write in writes
            if write.closed is not None
        ]
        disk = self._spool.disk
        if disk.accepts_rows:
            refused = self._spool.store_all(closed)
        else:
            refused = [(one, f"disk {disk.state}") for one in closed]
        for one, why in refused:
            self._spool.remove_file(one.event)
            self._unwritten.fragment(one.event, one.started, why)

    def _give_up_if_missing(self, write: PendingWrite) -> None:
        if write.closed is not None and not self._spool.has(write.closed[0]):
            self._spool.remove_file(write.closed[0])
            self._unwritten.fragment(*write.closed, "fault")

    def _write_unwritten(self) -> None:
        """Write what is only in memory, if the disk accepts it now."""
        if not self._unwritten:
            return
        self._check_disk()
        if not self._spool.disk.accepts_rows:
            return
        try:
            self._unwritten.write_to(self._spool)
        except (OSError, *JOURNAL_ERRORS) as error:
            self._spool.disk.failed(error)

    def _check_disk(self) -> None:
        """Check that the disk is still there, and whether one that failed is good again."""
        disk = self._spool.disk
        if disk.state == "hanging":
            disk.set_state("good")  # it answered: this thread runs
        if disk.accepts_rows:
            if (state := disk.check()) == "good":
                self._recover_again()
                return
            disk.set_state(state)
        now_s = time.monotonic()
        if now_s - self._probed_s < _PROBE_EVERY_S:
            return
        self._probed_s = now_s
        state = disk.probe()
        if state in ("gone", "swapped"):
            disk.set_state(state)
            if disk.may_open():
                self._reopen()
        elif state not in ("good", "full"):
            disk.set_state(state)
        elif disk.needs_reopen:
            self._reopen()
        else:
            disk.set_state(state)

    def _reopen(self, damaged: str | None = None) -> None:
        with self._lock:
            # A run that ended while the disk was away keeps its own reason.
            live = self._live | self._unwritten.ended()
        disk = self._spool.disk
        why = f"disk {disk.state}"
        try:
            for one in self._spool.reopen(live, damaged):
                self._pending.lose(one, why)
        except (VigilError, OSError, sqlite3.Error) as error:
            disk.detail = str(error)
            return
        disk.set_state("good")
        self._queue_recovery()

    def _queue_recovery(self) -> None:
        if self._closing or self._recovery_queued or not self._spool.recovering:
            return
        self._recovery_queued = True
        with suppress(RuntimeError):  # the thread is being shut down
            self._submit(self._recover).add_done_callback(_log_failure)

    def _recover(self) -> None:
        """Recover a little; the rest is queued behind the work of others."""
        self._recovery_queued = False
        if self._closing:
            return
        disk = self._spool.disk
        now_s = time.monotonic()
        try:
            if not disk.accepts_rows:
                self._recover_again_s = now_s
                return
            more = self._spool.recover(_RECOVER_S)
        except (OSError, sqlite3.Error, ValueError) as error:
            if journal_file.is_damage(error):
                self._reopen(f"{self._spool.journal.path} is damaged ({error}).")
            else:
                disk.failed(error)
                self._recover_again_s = now_s + _RECOVER_AGAIN_S
            return
        if not more or now_s - self._recovered_s > 1:
            self._recovered_s = now_s
            self._changed()
        self._queue_recovery()

    def _recover_again(self) -> None:
        if self._recover_again_s is not None and time.monotonic() >= self._recover_again_s:
            self._recover_again_s = None
            self._spool.restart_recovery()
            self._queue_recovery()

    def _watch(self, future: "Future[None] | Future[bool]") -> None:
        future.add_done_callback(self._done)

    def _done(self, future: "Future[None] | Future[bool]") -> None:
        error = future.exception()
        if error is not None:
            log.error("the spool failed: %s", error)
        elif future.result() is False:
            return  # nothing to send
        self._changed()


def _log_failure(recovery: "Future[None]") -> None:
    if not recovery.cancelled() and (error := recovery.exception()) is not None:
        log.error("recovery of the spool failed: %s", error)
