"""Fragments that wait in memory for the disk, and which are given up where it is too slow.

    limit ├───────────────────────────────┤
    gate  │ 3… │ 4 │ 5 │ 6 │ 7 …  ◄ pieces    3 is begun in its file, 4 is given up first
    yard  │ 8… │ 9 …                          the camera with less that waits loses nothing yet

Over the limit, whole fragments are given up until the rest fits. In this order:

    1  of the cameras with the lowest priority
    2  of the camera with the most waiting bytes (by name, where two have as many)
    3  its oldest fragment of which nothing is in its file yet; else its oldest

So each camera keeps its newest footage without a hole, and the same share of the memory. What is
being written at this moment is never given up.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.events import FragmentArrived, RunStarted
from domain.identity import FragmentId
from edge_bridge.config.spool import SpoolLimits

log = logging.getLogger(__name__)

TOO_SLOW = "disk too slow"
_MAX_GROWING = 4
"""Fragments of one camera that grow: one being recorded, one being closed, and those of a run that
ended without a word."""
_BATCH_BYTES = 16 << 20
_BATCH_SHARE = 8
"""At most this fraction of the limit is written at once: it cannot be given up any more."""
_BATCH_CLOSED = 8
"""Fragments that are completed at once: they share a sync of the journal."""

GiveUp = Callable[[FragmentArrived, RunStarted, str], None]


@dataclass(slots=True, eq=False)
class PendingFragment:
    """One fragment: what waits of it, and what became of it."""

    id: FragmentId
    pieces: list[bytes | bytearray] = field(default_factory=list)
    waiting: int = 0
    """Bytes of `pieces`."""
    written: int = 0
    """Bytes in its part file. Only the spool's thread changes it."""
    in_flight: int = 0
    """Bytes that are being written."""
    closed: tuple[FragmentArrived, RunStarted] | None = None
    lost: str = ""
    """Why it is given up; empty: it is not."""
    discarded: bool = False
    queued: bool = False

    @property
    def begun(self) -> bool:
        """Whether anything of it is in its file, or may be."""
        return bool(self.written or self.in_flight)


@dataclass(frozen=True, slots=True, eq=False)
class PendingWrite:
    """What the spool's thread writes next of one fragment."""

    fragment: PendingFragment
    pieces: list[bytes | bytearray]
    size: int
    closed: tuple[FragmentArrived, RunStarted] | None
    """Event and start of its run: these bytes complete it."""


class PendingFragments:
    """What waits, in order. Thread-safe; no method waits for the disk."""

    def __init__(self, limits: SpoolLimits, give_up: GiveUp) -> None:
        """`give_up` records a complete fragment that is lost, and why; it must not wait."""
        self._guard = threading.Lock()
        self._limits = limits
        self._give_up = give_up
        self._cameras: dict[str, dict[FragmentId, PendingFragment]] = {}
        self._waiting: dict[str, int] = {}
        """Bytes of each camera that may still be given up."""
        self._order: deque[PendingFragment | SpoolLimits] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many things there are to do."""
        return len(self._order)

    @property
    def total_bytes(self) -> int:
        """Bytes in memory, those being written included."""
        return self._bytes

    def set_limits(self, limits: SpoolLimits) -> None:
        """Use other limits here from now on, and in the spool after what waits already."""
        with self._guard:
            self._limits = limits
            self._order.append(limits)
            self._shrink()

    # For capture

    def piece(self, one: FragmentId, data: bytes | bytearray) -> None:
        """Add bytes to a fragment that grows."""
        with self._guard:
            fragment = self._cameras.get(one.camera, {}).get(one) or self._begin(one)
            if fragment.lost or fragment.closed is not None:
                return
            self._add(fragment, data)
            self._shrink()

    def close(self, event: FragmentArrived, data: bytes | bytearray, started: RunStarted) -> None:
        """Complete a fragment with the rest of its bytes."""
        one = FragmentId(event.camera, event.run, event.seq)
        with self._guard:
            fragment = self._cameras.get(one.camera, {}).get(one) or self._begin(one)
            if fragment.closed is not None:
                return
            fragment.closed = event, started
            if fragment.lost:
                self._give_up(event, started, fragment.lost)
                self._forget(fragment)
                return
            self._add(fragment, data)
            self._shrink()

    def discard(self, one: FragmentId) -> None:
        """Forget a fragment that grows."""
        with self._guard:
            fragment = self._cameras.get(one.camera, {}).get(one)
            if fragment is not None and fragment.closed is None:
                self._discard(fragment)

    def end_run(self, run: str) -> None:
        """Forget what grows of a run: it is over."""
        with self._guard:
            for fragment in self._growing(lambda each: each.id.run == run):
                self._discard(fragment)

    # For the spool's thread

    def take(self) -> list[PendingWrite] | SpoolLimits:
        """Return what to write next, in order, or limits to use from now on.

        Call `written` for each write.
        """
        most = min(_BATCH_BYTES, self._limits.pending_max_bytes // _BATCH_SHARE)
        with self._guard:
            writes: list[PendingWrite] = []
            size = closed = 0
            while self._order and closed < _BATCH_CLOSED:
                first = self._order[0]
                if writes and (isinstance(first, SpoolLimits) or size + first.waiting > most):
                    break
                self._order.popleft()
                if isinstance(first, SpoolLimits):
                    return first
                writes.append(self._begin_write(first))
                size += writes[-1].size
                closed += writes[-1].closed is not None
            return writes

    def written(self, write: PendingWrite, kept: bool = False) -> bool:
        """Record that a write is over. `kept`: it failed, and is tried again with the next bytes.

        Returns whether the fragment's part file is to be deleted.
        """
        fragment = write.fragment
        with self._guard:
            fragment.in_flight = 0
            if write.closed is not None:
                self._forget(fragment)
            gone = bool(fragment.lost) or fragment.discarded
            if kept and not gone:
                fragment.pieces[:0] = write.pieces
                fragment.waiting += write.size
                self._waiting[fragment.id.camera] = (
                    self._waiting.get(fragment.id.camera, 0) + write.size
                )
            else:
                self._bytes -= write.size
            return gone

    def lose(self, one: FragmentId, why: str) -> None:
        """Give up a fragment that grows: what is in its file is lost."""
        with self._guard:
            fragment = self._cameras.get(one.camera, {}).get(one)
            if fragment is not None and fragment.written and not fragment.lost:
                self._lose(fragment, why)

    # Under the guard

    def _begin_write(self, fragment: PendingFragment) -> PendingWrite:
        write = PendingWrite(fragment, fragment.pieces, fragment.waiting, fragment.closed)
        fragment.queued = False
        fragment.pieces = []
        fragment.in_flight = fragment.waiting
        self._uncount(fragment, fragment.waiting)
        fragment.waiting = 0
        return write

    def _begin(self, one: FragmentId) -> PendingFragment:
        made = PendingFragment(one)
        self._cameras.setdefault(one.camera, {})[one] = made
        growing = self._growing(lambda each: each.id.camera == one.camera)
        for fragment in growing[:-_MAX_GROWING]:
            log.error(
                "a fragment is never completed: it is discarded",
                extra={"camera": one.camera, "run": fragment.id.run, "seq": fragment.id.seq},
            )
            self._discard(fragment)
        return made

    def _growing(self, which: Callable[[PendingFragment], bool]) -> list[PendingFragment]:
        return [
            fragment
            for camera in self._cameras.values()
            for fragment in camera.values()
            if fragment.closed is None and which(fragment)
        ]

    def _add(self, fragment: PendingFragment, data: bytes | bytearray) -> None:
        if data:
            fragment.pieces.append(data)
            fragment.waiting += len(data)
            camera = fragment.id.camera
            self._waiting[camera] = self._waiting.get(camera, 0) + len(data)
            self._bytes += len(data)
        self._queue(fragment)

    def _queue(self, fragment: PendingFragment) -> None:
        if not fragment.queued:
            fragment.queued = True
            self._order.append(fragment)

    def _uncount(self, fragment: PendingFragment, size: int) -> None:
        camera = fragment.id.camera
        if left := self._waiting.get(camera, 0) - size:
            self._waiting[camera] = left
        else:
            self._waiting.pop(camera, None)

    def _shrink(self) -> None:
        limits, waiting_bytes = self._limits, self._waiting
        while self._bytes > limits.pending_max_bytes and waiting_bytes:
            camera = min(
                waiting_bytes,
                key=lambda name: (limits.priority(name), -waiting_bytes[name], name),
            )
            waiting = [each for each in self._cameras[camera].values() if each.waiting]
            victim = next((each for each in waiting if not each.begun), waiting[0])
            log.error(
                "the spool's disk is too slow: a fragment is given up; use a faster disk",
                extra={"camera": camera, "run": victim.id.run, "seq": victim.id.seq},
            )
            self._lose(victim, TOO_SLOW)

    def _lose(self, fragment: PendingFragment, why: str) -> None:
        fragment.lost = why
        self._empty(fragment)
        if fragment.closed is not None:
            self._give_up(*fragment.closed, why)
            self._forget(fragment)

    def _discard(self, fragment: PendingFragment) -> None:
        fragment.discarded = True
        self._empty(fragment)
        self._forget(fragment)

    def _empty(self, fragment: PendingFragment) -> None:
        """Drop what waits; where there is a part file, queue its deletion."""
        self._uncount(fragment, fragment.waiting)
        self._bytes -= fragment.waiting
        fragment.waiting = 0
        fragment.pieces = []
        if fragment.written and not fragment.in_flight:
            self._queue(fragment)
        elif fragment.queued and not fragment.written:
            self._order.remove(fragment)
            fragment.queued = False

    def _forget(self, fragment: PendingFragment) -> None:
        camera = self._cameras.get(fragment.id.camera, {})
        if camera.get(fragment.id) is fragment:
            del camera[fragment.id]
            if not camera:
                del self._cameras[fragment.id.camera]
