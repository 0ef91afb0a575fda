"""Ledgers of all partitions, and the shapes in which Faust's stream iterator writes to them.

The iterator is compiled and does what Consumer.ack does by itself: it looks an offset up in
`_acked_index[tp]`, adds it there and appends it to `_acked[tp]`. So the first gives it the
ledger's own set, and the second takes the offset and forgets it.
"""

from collections.abc import Iterator
from typing import Any

from faust.types import TP

from streams.delivery.ledger import Ledger


class Ledgers(dict[TP, Ledger]):
    """One ledger for each source partition that is ours and positioned."""

    def __init__(self) -> None:
        super().__init__()
        self.acked_index = AckedIndex(self)
        self.acked_lists = AckedLists()

    def of(self, tp: TP) -> Ledger:
        """Return a partition's ledger, made where there is none yet."""
        return self.setdefault(tp, Ledger())


class AckedIndex:
    """`_acked_index`: by partition, the set of processed offsets."""

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers

    def __getitem__(self, tp: TP) -> set[int]:
        ledger = self._ledgers.get(tp)
        return set() if ledger is None else ledger.done  # not ours: counts for nothing

    def pop(self, tp: TP, default: Any = None) -> Any:
        """Forgetting is the consumer's to decide, after the last commit."""
        return default


class DiscardingList:
    """Takes what is appended and keeps none of it."""

    def append(self, offset: int) -> None:
        """Forget."""


class AckedLists:
    """`_acked`: nothing reads the list."""

    _sink = DiscardingList()

    def __getitem__(self, tp: TP) -> DiscardingList:
        return self._sink

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def pop(self, tp: TP, default: Any = None) -> Any:
        """Nothing to forget."""
        return default
