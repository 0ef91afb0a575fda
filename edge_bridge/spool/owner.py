"""The one thread that the spool runs on; others send it work."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from domain.events import FragmentArrived, RunStarted
from edge_bridge.spool.spool import Spool

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MOST_PENDING_BYTES = 256 << 20
"""Bytes of fragments that may wait for the disk; more are given up, for memory is bounded."""


class SpoolOwner:
    """Runs the spool's methods on its thread, in the order in which they are asked for."""

    def __init__(self, open_it: Callable[[], Spool], changed: Callable[[], None]) -> None:
        """`open_it` runs on the thread; `changed` is called from it when there is work to send.

        Raises what `open_it` raises.
        """
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spool")
        self._changed = changed
        self._pending_bytes = 0
        self._lock = threading.Lock()
        try:
            self.spool = self._thread.submit(open_it).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def call(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of the spool; return what it returned."""
        return await asyncio.wrap_future(self._thread.submit(do, *args, **kwargs))

    def fragment(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        """Have a fragment stored; never waits. Too many waiting: this one is given up."""
        with self._lock:
            full = self._pending_bytes + len(data) > MOST_PENDING_BYTES
            if not full:
                self._pending_bytes += len(data)
        if full:
            log.error(
                "the disk is too slow: a fragment is given up",
                extra={"camera": event.camera, "run": event.run, "seq": event.seq},
            )
            self._watch(self._thread.submit(self.spool.give_up_unseen, event, started))
        else:
            self._watch(self._thread.submit(self._store, event, data, started))

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Have a run ended, after all that was stored before."""
        self._watch(self._thread.submit(self.spool.end_run, run, ended_ms, reason))

    def message(self, kind: str, body: bytes) -> None:
        """Have a message kept in the outbox; never waits."""
        self._watch(self._thread.submit(self.spool.put_message, kind, body))

    def close(self) -> None:
        """Finish what was asked for, and close the spool."""
        self._thread.submit(self.spool.close)
        self._thread.shutdown(wait=True)

    def _store(self, event: FragmentArrived, data: bytes, started: RunStarted) -> None:
        try:
            self.spool.store(event, data, started)
        finally:
            with self._lock:
                self._pending_bytes -= len(data)

    def _watch(self, future: "Future[None]") -> None:
        future.add_done_callback(self._done)

    def _done(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is not None:
            log.error("the spool failed: %s", error)
        self._changed()
