"""Writing together what comes at the same time, without acknowledging anything early.

Partitions are worked on beside each other, each awaiting the write of its own events. While one
write is on its way, what the others bring gathers and becomes the next one: batches grow with the
load and nobody waits for a timer.

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


class _Put:
    """One caller: how many of its items are not written yet, and what it waits for."""

    __slots__ = ("done", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class GroupWriter(Generic[T]):
    """Calls `write` with all items that wait, of at most `most` weight, one call at a time.

    `weigh` says how much an item is, in rows; a heavier one goes alone.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[None]],
        *,
        most: int,
        weigh: Callable[[T], int] = lambda _item: 1,
    ) -> None:
        self._write = write
        self._most = most
        self._weigh = weigh
        self._waiting: deque[tuple[T, _Put]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def put(self, items: Sequence[T]) -> None:
        """Return when `items` are written; raises what writing one of them raised.

        An error that is no StoreError is one item's own fault: then the group is written in halves,
        down to that item, so that the others do not suffer.
        """
        if not items:
            return
        put = _Put(len(items))
        self._waiting.extend((item, put) for item in items)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.ensure_future(self._run())
        await put.done

    async def _run(self) -> None:
        while group := self._next_group():
            await self._write_group(group)

    def _next_group(self) -> list[tuple[T, _Put]]:
        group: list[tuple[T, _Put]] = []
        weight = 0
        while self._waiting:
            item, put = self._waiting[0]
            if not put.done.done():  # else nobody waits for it any more
                weight += self._weigh(item)
                if group and weight > self._most:
                    break
                group.append((item, put))
            self._waiting.popleft()
        return group

    async def _write_group(self, group: Sequence[tuple[T, _Put]]) -> None:
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
