"""What could not be written while the disk took nothing, kept in memory until it can be.

Fragments are given up, but not forgotten: ranges of seqs, so that days of them are small. Ends of
runs and messages wait, bounded; the oldest detections go first, then the oldest of all, counted.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from domain.events import FragmentArrived, RunStarted
from edge_bridge import metrics

MOST_RUNS = 10_000
MOST_MESSAGE_BYTES = 16 << 20
_AT_ONCE = 100


@dataclass(slots=True)
class UnwrittenRange:
    """Fragments of one run, one after the other, that reached no disk."""

    first: int
    last: int
    start_ms: int
    """UTC start of the first."""
    end_ms: int
    """UTC end of the last."""
    why: str


@dataclass(slots=True)
class UnwrittenRun:
    """What one run missed."""

    started: RunStarted
    ranges: list[UnwrittenRange] = field(default_factory=list)


class RecordWriter(Protocol):
    """Who writes it in the end (the spool)."""

    def give_up_range(self, started: RunStarted, missed: UnwrittenRange) -> None:
        """Note that fragments never reached the disk."""

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End a run."""

    def put_messages(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Keep messages, all or none."""


class UnwrittenRecords:
    """Safe for all threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs: OrderedDict[str, UnwrittenRun] = OrderedDict()
        self._ends: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._messages: deque[tuple[str, bytes]] = deque()
        self._message_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._runs or self._ends or self._messages)

    @property
    def waiting(self) -> int:
        """Return how many fragments were given up and are not written down yet."""
        with self._guard:
            return sum(
                one.last - one.first + 1 for run in self._runs.values() for one in run.ranges
            )

    def fragment(self, event: FragmentArrived, started: RunStarted, why: str) -> None:
        """Note a fragment that is given up."""
        metrics.GIVEN_UP.labels(event.camera, why).inc()
        with self._guard:
            run = self._runs.setdefault(event.run, UnwrittenRun(started))
            last = run.ranges[-1] if run.ranges else None
            if last is not None and last.last + 1 == event.seq and last.why == why:
                last.last, last.end_ms = event.seq, event.end_ms
            else:
                made = UnwrittenRange(event.seq, event.seq, event.start_ms, event.end_ms, why)
                run.ranges.append(made)
            while len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Note a run's end."""
        with self._guard:
            self._ends.setdefault(run, (ended_ms, reason))
            while len(self._ends) > MOST_RUNS:
                self._ends.popitem(last=False)

    def ended(self) -> set[str]:
        """Return the runs whose end is not written down yet."""
        with self._guard:
            return set(self._ends)

    def message(self, kind: str, body: bytes) -> None:
        """Keep a message."""
        with self._guard:
            self._messages.append((kind, body))
            self._message_bytes += len(body)
            while self._message_bytes > MOST_MESSAGE_BYTES:
                _, gone = self._drop()
                self._message_bytes -= len(gone)
                metrics.MESSAGES_DROPPED.inc()

    def _drop(self) -> tuple[str, bytes]:
        for at, (kind, _) in enumerate(self._messages):
            if kind.endswith("detection"):
                found = self._messages[at]
                del self._messages[at]
                return found
        return self._messages.popleft()

    def write_to(self, to: RecordWriter) -> None:
        """Have it all written, in order; what raises stays, and is written at the next time."""
        while (found := self._oldest_run()) is not None:
            name, run, missed = found
            to.give_up_range(run.started, missed)
            self._settle(name, run, missed)
        while messages := self._oldest_messages():
            to.put_messages(messages)
            self._forget(messages)
        while (end := self._oldest_end()) is not None:
            run_id, (ended_ms, reason) = end
            to.end_run(run_id, ended_ms, reason)
            with self._guard:
                self._ends.pop(run_id, None)

    def _oldest_run(self) -> tuple[str, UnwrittenRun, UnwrittenRange] | None:
        with self._guard:
            for name, run in self._runs.items():
                one = run.ranges[0]
                copy = UnwrittenRange(one.first, one.last, one.start_ms, one.end_ms, one.why)
                return name, run, copy
            return None

    def _settle(self, name: str, run: UnwrittenRun, done: UnwrittenRange) -> None:
        with self._guard:
            one = run.ranges[0]
            if one.last > done.last:  # it grew meanwhile
                one.first, one.start_ms = done.last + 1, done.end_ms
                return
            run.ranges.pop(0)
            if not run.ranges:
                self._runs.pop(name, None)

    def _oldest_messages(self) -> list[tuple[str, bytes]]:
        with self._guard:
            return list(islice(self._messages, _AT_ONCE))

    def _forget(self, written: list[tuple[str, bytes]]) -> None:
        gone = {id(message) for message in written}
        with self._guard:
            while self._messages and id(self._messages[0]) in gone:
                self._message_bytes -= len(self._messages.popleft()[1])

    def _oldest_end(self) -> tuple[str, tuple[int, str]] | None:
        with self._guard:
            return next(iter(self._ends.items()), None)
