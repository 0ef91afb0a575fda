"""Bookkeeping of one fetched batch: each record is delivered, or gone back to. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TP = TypeVar("TP")


@dataclass(slots=True)
class FetchedBatch(Generic[TP]):
    """Offsets that were fetched and not yet delivered, by partition.

    Fetching moves the client's position past the whole batch. What a rebalance, a pause or a
    stopped flow keeps from being delivered must be fetched again: `rewind` says where from.
    """

    todo: dict[TP, int]
    last: dict[TP, int]
    held: set[TP] = field(default_factory=set)

    @classmethod
    def of(cls, offsets: Mapping[TP, tuple[int, int]]) -> "FetchedBatch[TP]":
        """Return the batch of these (first, last) offsets."""
        return cls(
            {tp: first for tp, (first, _) in offsets.items()},
            {tp: last for tp, (_, last) in offsets.items()},
        )

    def hold(self, tp: TP) -> None:
        """Deliver nothing more of a partition: its order would break."""
        self.held.add(tp)

    def go_back(self, tp: TP, offset: int) -> None:
        """Deliver nothing more of a partition; fetch again from before the batch."""
        self.held.add(tp)
        self.todo[tp] = offset

    def delivered(self, tp: TP, offset: int) -> None:
        """Note that a record was handed over."""
        self.todo[tp] = offset + 1

    def rewind(self) -> dict[TP, int]:
        """Return where to go back to, for the partitions that were not delivered whole."""
        return {tp: offset for tp, offset in self.todo.items() if offset <= self.last[tp]}
