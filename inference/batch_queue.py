"""The queue of one model: requests wait here until a batch takes them. Pure; times are passed in.

    put ──► heap by rank ──► next_batch: the first, and those behind it that fit into its batch
     └ full: refused                      (same shapes, at most `max_rows` rows)

rank = arrival + AGE_S x class. So a class goes first, and nothing starves: a replay that has waited
AGE_S longer than a new interactive request goes before it.
"""

import heapq
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Generic, TypeVar

from inference.engine import Priority

T = TypeVar("T")

AGE_S = 10.0
"""How long a request waits until it is as urgent as a new one of the next class."""
MAX_ROWS: Mapping[Priority, int] = MappingProxyType(
    {Priority.LIVE: 256, Priority.INTERACTIVE: 64, Priority.REPLAY: 128}
)
"""Each class has its own bound: a replay never takes the place of live footage."""


class QueueFullError(Exception):
    """The class of this request has no place left."""


@dataclass(slots=True, eq=False)
class QueuedRequest(Generic[T]):
    """A request that waits."""

    item: T
    rows: int
    priority: Priority
    shapes: Hashable
    """Only requests of equal shapes are computed together."""
    arrived_s: float
    rank_s: float
    order: int
    is_waiting: bool = True
    attempts: int = 0
    """How often a process took it and ended."""
    alone: bool = False
    """Computed without others: one of those that were computed with it failed."""


@dataclass(slots=True)
class BatchQueue(Generic[T]):
    """Requests of one model, the most urgent first."""

    max_rows: Mapping[Priority, int] = field(default_factory=lambda: MAX_ROWS)
    waiting: Counter[Priority] = field(default_factory=Counter)
    """Rows that wait, by class."""
    _heap: list[tuple[float, int, QueuedRequest[T]]] = field(default_factory=list)
    _orders: "count[int]" = field(default_factory=count)

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return self.waiting.total()

    def put(
        self, item: T, rows: int, priority: Priority, shapes: Hashable, now_s: float
    ) -> QueuedRequest[T]:
        """Add a request; raises QueueFullError. A large one is taken where nothing else waits."""
        waiting = self.waiting[priority]
        if waiting and waiting + rows > self.max_rows[priority]:
            raise QueueFullError
        rank_s = now_s + AGE_S * (priority - Priority.LIVE)
        queued = QueuedRequest(item, rows, priority, shapes, now_s, rank_s, next(self._orders))
        self._push(queued)
        return queued

    def put_back(self, queued: QueuedRequest[T]) -> None:
        """Add a request again that a batch has taken; it keeps its rank. No bound holds here."""
        queued.is_waiting = True
        self._push(queued)

    def remove(self, queued: QueuedRequest[T]) -> None:
        """Forget a request that waits; nothing happens where a batch has taken it."""
        if queued.is_waiting:
            queued.is_waiting = False
            self.waiting[queued.priority] -= queued.rows

    def arrival_s(self) -> float | None:
        """Return when the most urgent request arrived; None: none waits."""
        self._drop_removed()
        return self._heap[0][2].arrived_s if self._heap else None

    def next_batch(self, max_rows: int) -> list[QueuedRequest[T]]:
        """Take the most urgent request, and what fits into its batch; empty: none waits."""
        batch: list[QueuedRequest[T]] = []
        other_shapes: list[QueuedRequest[T]] = []
        rows = 0
        while self._heap:
            self._drop_removed()
            if not self._heap:
                break
            first = self._heap[0][2]
            if batch and (rows + first.rows > max_rows or first.alone):
                break
            heapq.heappop(self._heap)
            if batch and first.shapes != batch[0].shapes:
                other_shapes.append(first)
                continue
            batch.append(first)
            rows += first.rows
            if first.alone:
                break
        for skipped in other_shapes:
            heapq.heappush(self._heap, (skipped.rank_s, skipped.order, skipped))
        for taken in batch:
            self.remove(taken)
        return batch

    def drain(self) -> list[QueuedRequest[T]]:
        """Take all."""
        taken = [queued for _, _, queued in sorted(self._heap) if queued.is_waiting]
        for queued in taken:
            self.remove(queued)
        self._heap.clear()
        return taken

    def _push(self, queued: QueuedRequest[T]) -> None:
        self.waiting[queued.priority] += queued.rows
        heapq.heappush(self._heap, (queued.rank_s, queued.order, queued))

    def _drop_removed(self) -> None:
        while self._heap and not self._heap[0][2].is_waiting:
            heapq.heappop(self._heap)
