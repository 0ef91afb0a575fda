"""Group commit: write together what arrives at the same time, and acknowledge nothing early.

Partitions are handled in parallel, and each waits until its own events are written. While one write
runs, the events of the others wait and become the next write. So batches grow with the load, and
no timer delays them.

    partition 0  --aa-------ddd--
    partition 1  ----b----------e
    partition 2  ------cc--------
    writes         [aa]  [b cc] [ddd e]
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from domain.errors import StoreError

T = TypeVar("T")


class _PendingPut:
    """One call of put: how many of its items are not written yet, and the future it waits for."""

    __slots__ = ("done", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class GroupWriter(Generic[T]):
    """Calls `write` with all waiting items, of at most `max_weight`, one call at a time.

    `weigh` returns an item's weight, in rows. An item above `max_weight` is written alone.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        max_weight: int,
        weigh: Callable[[T], int] = lambda _item: 1,
    ) -> None:
        self._write = write
        self._max_weight = max_weight
        self._weigh = weigh
        self._waiting: deque[tuple[T, _PendingPut]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def put(self, items: Sequence[T]) -> None:
        """Return when `items` are written. Raises what writing one of them raised.

        An error other than StoreError is the fault of one item. Then the group is split in halves
        and written again, down to that item. The other items are written.
        """
        if not items:
            return
        put = _PendingPut(len(items))
        self._waiting.extend((item, put) for item in items)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.ensure_future(self._run())
        await put.done

    async def _run(self) -> None:
        while group := self._next_group():
            await self._write_group(group)

    def _next_group(self) -> list[tuple[T, _PendingPut]]:
        group: list[tuple[T, _PendingPut]] = []
        weight = 0
        while self._waiting:
            item, put = self._waiting[0]
            if not put.done.done():  # else its caller was cancelled or has failed
                weight += self._weigh(item)
                if group and weight > self._max_weight:
                    break
                group.append((item, put))
            self._waiting.popleft()
        return group

    async def _write_group(self, group: Sequence[tuple[T, _PendingPut]]) -> None:
        try:
            await self._write([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, StoreError):
                half = len(group) // 2
                await self._write_group(group[:half])
                await self._write_group(group[half:])
                return
            for _, put in group:
                if not put.done.done():
                    put.done.set_exception(error)
        else:
            for _, put in group:
                put.left -= 1
                if not put.left and not put.done.done():
                    put.done.set_result(None)
