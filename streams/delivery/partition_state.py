"""What a worker knows of one partition, and what follows from it. No I/O, no clock.

    the log        10 11 12  .  . 15 16
    first fetch    [10 11 12] Deliver    [15 16] Rewind to 13: perhaps the client jumped
    second fetch   [15 16] Deliver, with the hole (13, 15): the log does not hold 13 and 14
    acknowledged   10 11 12 15 16, so committable is 17

The consumer asks, and acts on the answers: streams/delivery/consumer.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.delivery.ledger import Ledger

Hole = tuple[int, int]
"""The first absent offset and the next present one."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the records over, after `start`."""

    hole: Hole | None = None
    """What the log lacks before them. Whether retention took it, only the broker knows."""


@dataclass(frozen=True, slots=True)
class Rewind:
    """Deliver nothing more of this partition now; fetch again from `offset` on."""

    offset: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Deliver nothing more of this partition now: its order would break."""


Answer = Deliver | Rewind | Wait

DELIVER = Deliver()
WAIT = Wait()


@dataclass(frozen=True, slots=True)
class Expired:
    """Retention removed `count` records, from offset `first` on, before this group read them."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class LogRestarted:
    """The log begins again at `offset`, below what was expected: the topic was deleted."""

    offset: int


@dataclass(frozen=True, slots=True)
class JumpRecovered:
    """The client jumped from `expected` to `found`; the rewind brought the records."""

    expected: int
    found: int


Finding = Expired | LogRestarted | JumpRecovered


class WaitingBatch(Protocol):
    """The part of a record batch that is used here."""

    records: list[Any]
    generation_id: int


@dataclass(slots=True)
class PartitionState:
    """One partition of this worker, from its positioning until it is positioned again or revoked.

    ledger      what was processed, and so what may be committed; None: nothing is (a changelog)

    expected    offset that the next record should have; None: not known yet

    unverified  a hole that was seen once; accepted when the next fetch shows it again

    waiting     the batch that a stream has in its queue and did not begin: it still grows
    """

    ledger: Ledger | None = None
    expected: int | None = None
    unverified: Hole | None = None
    waiting: WaitingBatch | None = None
    # of the fetch in progress
    _undelivered: int = field(default=0, init=False)
    _last: int = field(default=-1, init=False)
    _held: bool = field(default=False, init=False)
    _has_holes: bool = field(default=False, init=False)

    @classmethod
    def positioned(cls, offset: int | None) -> "PartitionState":
        """Return the state of a source that was positioned; None: wherever the client starts."""
        return cls(ledger=Ledger.at(offset), expected=offset)

    # -- one fetch

    def begin_fetch(self, first: int, last: int, *, has_holes: bool = False) -> None:
        """Note what one fetch brought: the client's position is past `last` now.

        `has_holes`: the log has holes by nature, such as a compacted one.
        """
        self._undelivered = first
        self._last = last
        self._held = False
        self._has_holes = has_holes

    def fetched(self, first: int, *, paused: bool = False) -> Answer:
        """Say what to do with the next records of this fetch, which begin at `first`."""
        if self._held or paused:
            self._held = True
            return WAIT
        expected = self.expected
        if expected is None or first <= expected or self._has_holes:
            return DELIVER
        hole = (expected, first)
        if self.unverified == hole:
            return Deliver(hole)
        self.unverified = hole
        self._held = True
        self._undelivered = expected
        return Rewind(expected)

    def start(
        self, first: int, last: int, *, tracked: bool = True, log_start: int = 0
    ) -> Finding | None:
        """Note records that are about to be handed over; return what is to be reported.

        `tracked`: they will be acknowledged. `log_start`: where the log begins now, if there is a
        hole before them.
        """
        expected = self.expected
        unverified = self.unverified
        self.expected = last + 1
        self.unverified = None
        if not tracked:
            return None
        if self.ledger is None:
            self.ledger = Ledger()
        if expected is None:
            self.ledger.first(first)
        elif first > expected:
            self.ledger.skip(expected, first)
            if log_start > expected:
                return Expired(expected, min(log_start, first) - expected)
        elif first < expected:
            self.ledger = Ledger.at(first)
            return LogRestarted(first)
        elif unverified is not None:
            return JumpRecovered(expected, unverified[1])
        return None

    def delivered(self, last: int) -> None:
        """Note that records up to `last` were handed over."""
        self._undelivered = last + 1

    def end_fetch(self) -> Rewind | None:
        """Return where to fetch again, if not all that was fetched was handed over."""
        if self._undelivered > self._last:
            return None
        return Rewind(self._undelivered)

    def rewound(self, to: Rewind) -> int:
        """Note that the client was moved back; return how many records it fetches again."""
        self.expected = to.offset
        return self._last - to.offset + 1

    # -- the batch that waits

    def grow(self, records: Sequence[Any], generation_id: int) -> WaitingBatch | None:
        """Add records to the batch that waits and return it; None where none does."""
        batch = self.waiting
        if batch is None or batch.generation_id != generation_id:
            return None
        batch.records += records
        return batch

    # -- what was processed

    def acked(self, offsets: Iterable[int]) -> int:
        """Note offsets as processed; return how many they are."""
        if self.ledger is None:
            return 0
        count = 0
        for offset in offsets:
            self.ledger.ack(offset)
            count += 1
        return count

    def committable(self) -> int | None:
        """Return the offset to commit now; None where the broker has it already."""
        return None if self.ledger is None else self.ledger.due()

    def committed(self, offset: int) -> None:
        """Note that the broker took this commit."""
        if self.ledger is not None:
            self.ledger.commit(offset)

    def revoked(self) -> None:
        """Forget all: what of it was not committed comes again, here or elsewhere."""
        self.ledger = None
        self.expected = None
        self.unverified = None
        self.waiting = None
