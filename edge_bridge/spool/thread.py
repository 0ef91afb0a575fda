"""The one thread that the spool runs on; others send it work and never wait.

Where the disk takes nothing, what capture brings is noted in memory (missed.py) and written once
the disk is back; whoever asks for rows gets a DiskError and asks again later.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from domain.errors import VigilError
from domain.events import FragmentArrived, RunStarted
from edge_bridge.spool import journal_file
from edge_bridge.spool.disk import DiskError, DiskState
from edge_bridge.spool.spool import Spool
from edge_bridge.spool.unwritten import UnwrittenRecords

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MOST_PENDING_BYTES = 256 << 20
"""Bytes of fragments that may wait for the disk; more are given up, for memory is bounded."""
HANGS_S = 20.0
"""A piece of work that takes longer: the disk hangs."""
_LOOK_EVERY_S = 1.0
"""How often a disk that is not good is tried."""
_RECOVER_S = 0.05
"""What an earlier run left is looked at for so long at a time: recording waits no longer for it."""
_RECOVER_AGAIN_S = 60.0
"""When it is begun anew where the disk refused."""


class SpoolThread:
    """Runs the spool's methods on its thread, in the order in which they are asked for."""

    def __init__(self, open_it: Callable[[], Spool], changed: Callable[[], None]) -> None:
        """`open_it` runs on the thread; `changed` is called from it when there is work to send.

        Raises what `open_it` raises.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._changed = changed
        self._pending_bytes = 0
        self._lock = threading.Lock()
        self._live: set[str] = set()
        self._missed = UnwrittenRecords()
        self._draining = False
        self._busy_since_s: float | None = None
        self._looked_s = 0.0
        self._closing = False
        self._recovery_queued = False
        self._recover_again_s: float | None = None
        self._recovered_s = 0.0
        try:
            self.spool = self._thread.submit(open_it).result()
        except BaseException:
            self._thread.shutdown()
            raise
        self._queue_recovery()

    @property
    def disk(self) -> tuple[DiskState, str, int]:
        """Return how the disk fares, in words, and since when (UTC, ms); from any thread."""
        disk = self.spool.disk
        if self._hangs():
            disk.say("hanging", f"no answer for {HANGS_S:.0f} s")
        return disk.state, disk.detail, disk.since_ms

    @property
    def given_up(self) -> int:
        """Return how many fragments were given up since the program's start."""
        return self.spool.given_up + self._missed.waiting

    async def call(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the spool; return what it returned. Raises DiskError."""
        if self._hangs():
            raise DiskError(f"the spool's disk {self.spool.disk.folder} hangs.")

        def asked() -> T:
            self._tend()
            self._replay()
            if not self.spool.disk.takes_rows:
                state = self.spool.disk.state
                raise DiskError(f"the spool's disk {self.spool.disk.folder} is {state}.")
            try:
                return do(*args, **kwargs)
            except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
                raise self.spool.disk.failed(error) from error

        return await asyncio.wrap_future(self._submit(asked))

    def fragment(
        self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted
    ) -> None:
        """Have a fragment stored; never waits. Too many waiting: this one is given up."""
        with self._lock:
            self._live.add(event.run)
            full = self._pending_bytes + len(data) > MOST_PENDING_BYTES
            if not full:
                self._pending_bytes += len(data)
        if full:
            log.error(
                "the disk is too slow: a fragment is given up",
                extra={"camera": event.camera, "run": event.run, "seq": event.seq},
            )
            self._missed.fragment(event, started, "disk too slow")
            self._drain()
        else:
            self._watch(self._submit(lambda: self._store(event, data, started)))

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Have a run ended, after all that was stored before."""

        def end() -> None:
            with self._lock:
                self._live.discard(run)
            self._missed.end_run(run, ended_ms, reason)
            self._replay()

        self._watch(self._submit(end))

    def message(self, kind: str, body: bytes) -> None:
        """Have a message kept in the outbox; never waits."""
        self._missed.message(kind, body)
        self._drain()

    def close(self) -> None:
        """Finish what was asked for, and close the spool."""
        self._closing = True
        self._submit(self._replay)
        self._submit(self.spool.close)
        self._thread.shutdown(wait=True)

    def _submit(self, work: Callable[[], T]) -> "Future[T]":
        def timed() -> T:
            self._busy_since_s = time.monotonic()
            try:
                return work()
            finally:
                self._busy_since_s = None

        return self._thread.submit(timed)

    def _hangs(self) -> bool:
        since_s = self._busy_since_s
        return since_s is not None and time.monotonic() - since_s > HANGS_S

    def _drain(self) -> None:
        with self._lock:
            if self._draining:
                return
            self._draining = True

        def drain() -> None:
            with self._lock:
                self._draining = False
            self._replay()

        self._watch(self._submit(drain))

    # On the spool's thread

    def _store(self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted) -> None:
        disk = self.spool.disk
        try:
            self._tend()
            if disk.takes_rows:
                self.spool.store(event, data, started)
            else:
                self._missed.fragment(event, started, f"disk {disk.state}")
        except (OSError, sqlite3.Error) as error:
            disk.failed(error)
            if self.spool.has(event):
                return  # it stands; what failed is making room after it
            self.spool.remove_file(event)
            self._missed.fragment(event, started, f"disk {disk.state}")
        finally:
            with self._lock:
                self._pending_bytes -= len(data)
        self._replay()

    def _replay(self) -> None:
        if not self._missed:
            return
        self._tend()
        if not self.spool.disk.takes_rows:
            return
        try:
            self._missed.replay(self.spool)
        except (OSError, sqlite3.Error) as error:
            self.spool.disk.failed(error)

    def _tend(self) -> None:
        """See whether the disk is still there, and whether one that was bad is good again."""
        disk = self.spool.disk
        if disk.takes_rows:
            if (state := disk.look()) == "good":
                self._recover_again()
                return
            disk.say(state)
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        state = disk.probe()
        if state in ("gone", "swapped"):
            disk.say(state)
            if disk.may_open():
                self._reopen()
        elif state not in ("good", "full"):
            disk.say(state)
        elif disk.reopens:
            self._reopen()
        else:
            disk.say(state)

    def _reopen(self, damaged: str | None = None) -> None:
        with self._lock:
            live = self._live | self._missed.ended()  # those that ended meanwhile say why
        disk = self.spool.disk
        try:
            self.spool.reopen(live, damaged)
        except (VigilError, OSError, sqlite3.Error) as error:
            disk.detail = str(error)
            return
        disk.say("good")
        self._queue_recovery()

    def _queue_recovery(self) -> None:
        if self._closing or self._recovery_queued or not self.spool.recovering:
            return
        self._recovery_queued = True
        with suppress(RuntimeError):  # it closes just now
            self._submit(self._recover).add_done_callback(_log_failure)

    def _recover(self) -> None:
        """Go on with what an earlier run left; the rest queues behind what others ask for."""
        self._recovery_queued = False
        if self._closing:
            return
        disk = self.spool.disk
        now_s = time.monotonic()
        try:
            if not disk.takes_rows:
                self._recover_again_s = now_s
                return
            more = self.spool.recover(_RECOVER_S)
        except (OSError, sqlite3.Error, ValueError) as error:
            if journal_file.damaged(error):
                self._reopen(f"{self.spool.journal.path} is damaged ({error}).")
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
            self.spool.restart_recovery()
            self._queue_recovery()

    def _watch(self, future: "Future[None]") -> None:
        future.add_done_callback(self._done)

    def _done(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is not None:
            log.error("the spool failed: %s", error)
        self._changed()


def _log_failure(mending: "Future[None]") -> None:
    if not mending.cancelled() and (error := mending.exception()) is not None:
        log.error("what an earlier run left cannot be looked at: %s", error)
