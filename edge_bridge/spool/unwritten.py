"""What could not be written while the disk accepted nothing, kept in memory until it can be.

Fragments are given up, but recorded: as ranges of seqs, so that days of them are small. Ends of
runs and messages wait, bounded. Where they are too many, the oldest detections are dropped first,
then the oldest messages of any type; both are counted.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from domain.events import FragmentArrived, RunStarted
from edge_bridge import metrics

MAX_RUNS = 10_000
MAX_MESSAGE_BYTES = 16 << 20
_MESSAGES_AT_ONCE = 100


@dataclass(slots=True)
class UnwrittenRange:
    """Consecutive fragments of one run that reached no disk."""

    first: int
    last: int
    start_ms: int
    """UTC start of the first."""
    end_ms: int
    """UTC end of the last."""
    why: str


@dataclass(slots=True)
class UnwrittenRun:
    """The unwritten fragments of one run."""

    started: RunStarted
    ranges: list[UnwrittenRange] = field(default_factory=list)


class RecordWriter(Protocol):
    """Writes the records when the disk is back: the spool."""

    def give_up_range(self, started: RunStarted, unwritten: UnwrittenRange) -> None:
        """Record that fragments never reached the disk."""

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """End a run."""

    def put_messages(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Store messages, all or none."""


class UnwrittenRecords:
    """Records that are only in memory. Thread-safe."""

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
        """How many fragments were given up and are not in the journal yet."""
        with self._guard:
            return sum(
                one.last - one.first + 1 for run in self._runs.values() for one in run.ranges
            )

    def fragment(self, event: FragmentArrived, started: RunStarted, why: str) -> None:
        """Record a fragment that is given up."""
        metrics.GIVEN_UP.labels(event.camera, why).inc()
        with self._guard:
            run = self._runs.setdefault(event.run, UnwrittenRun(started))
            last = run.ranges[-1] if run.ranges else None
            if last is not None and last.last + 1 == event.seq and last.why == why:
                last.last = event.seq
                last.end_ms = event.end_ms
            else:
                made = UnwrittenRange(event.seq, event.seq, event.start_ms, event.end_ms, why)
                run.ranges.append(made)
            while len(self._runs) > MAX_RUNS:
                self._runs.popitem(last=False)

    def end_run(self, run: str, ended_ms: int, reason: str) -> None:
        """Record a run's end."""
        with self._guard:
            self._ends.setdefault(run, (ended_ms, reason))
            while len(self._ends) > MAX_RUNS:
                self._ends.popitem(last=False)

    def ended(self) -> set[str]:
        """Return the runs whose end is not in the journal yet."""
        with self._guard:
            return set(self._ends)

    def message(self, kind: str, body: bytes) -> None:
        """Keep a message; drop the oldest where they are too many."""
        with self._guard:
            self._messages.append((kind, body))
            self._message_bytes += len(body)
            while self._message_bytes > MAX_MESSAGE_BYTES:
                _, dropped = self._drop_one()
                self._message_bytes -= len(dropped)
                metrics.MESSAGES_DROPPED.inc()

    def _drop_one(self) -> tuple[str, bytes]:
        for at, (kind, _) in enumerate(self._messages):
            if kind.endswith("detection"):
                found = self._messages[at]
                del self._messages[at]
                return found
        return self._messages.popleft()

    def write_to(self, writer: RecordWriter) -> None:
        """Write all, in order. Where the writer raises, the rest stays for the next time."""
        while (found := self._oldest_range()) is not None:
            name, run, unwritten = found
            writer.give_up_range(run.started, unwritten)
            self._range_written(name, run, unwritten)
        while messages := self._oldest_messages():
            writer.put_messages(messages)
            self._messages_written(messages)
        while (end := self._oldest_end()) is not None:
            run_id, (ended_ms, reason) = end
            writer.end_run(run_id, ended_ms, reason)
            with self._guard:
                self._ends.pop(run_id, None)

    def _oldest_range(self) -> tuple[str, UnwrittenRun, UnwrittenRange] | None:
        """Return a copy: while it is written, capture may append to the range."""
        with self._guard:
            for name, run in self._runs.items():
                one = run.ranges[0]
                copy = UnwrittenRange(one.first, one.last, one.start_ms, one.end_ms, one.why)
                return name, run, copy
            return None

    def _range_written(self, name: str, run: UnwrittenRun, written: UnwrittenRange) -> None:
        with self._guard:
            one = run.ranges[0]
            if one.last > written.last:  # it grew while it was being written
                one.first = written.last + 1
                one.start_ms = written.end_ms
                return
            run.ranges.pop(0)
            if not run.ranges:
                self._runs.pop(name, None)

    def _oldest_messages(self) -> list[tuple[str, bytes]]:
        with self._guard:
            return list(islice(self._messages, _MESSAGES_AT_ONCE))

    def _messages_written(self, written: list[tuple[str, bytes]]) -> None:
        # By identity: some of them may have been dropped while they were being written.
        ids = {id(message) for message in written}
        with self._guard:
            while self._messages and id(self._messages[0]) in ids:
                self._message_bytes -= len(self._messages.popleft()[1])

    def _oldest_end(self) -> tuple[str, tuple[int, str]] | None:
        with self._guard:
            return next(iter(self._ends.items()), None)
