"""Writing together what comes at the same time, without acknowledging anything early.

Partitions are worked on beside each other, each awaiting its own event's write. While one write
is on its way, what the others bring gathers and becomes the next one: batches grow with the load
and nobody waits for a timer.

    partition 0  --a--------d----
    partition 1  ----b----------e
    partition 2  ------c---------
    writes         [a]   [b c]  [d e]
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from domain.errors import StoreError

T = TypeVar("T")


class GroupWriter(Generic[T]):
    """Calls `write` with all items that wait, at most `most` at a time, one call at a time."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[None]], *, most: int) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, item: T) -> None:
        """Return when `item` is written; raises what writing it raised.

        An error that is no StoreError is one item's own fault: then each of the group is
        written alone, so that the others do not suffer.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.ensure_future(self._run())
        await done

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._write_group([entry for entry in group if not entry[1].cancelled()])

    async def _write_group(self, group: list[tuple[T, asyncio.Future[None]]]) -> None:
        if not group:
            return
        try:
            await self._write([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, StoreError):
                for entry in group:
                    await self._write_group([entry])
                return
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
        else:
            for _, done in group:
                if not done.done():
                    done.set_result(None)
