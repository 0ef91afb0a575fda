"""Read ahead: the next items are fetched while the caller works on the ones before.

items     0 1 2 3 4 5 6 7 …     in order
reading       └─┴─┘             limited by count and by bytes, but always at least one
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Data = TypeVar("Data")

MAX_ITEMS = 8
MAX_BYTES = 8 << 20
"""Limit of the bytes that are read ahead. A single larger item is still read."""


async def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Awaitable[Data]],
    size_of: Callable[[Item], int],
) -> AsyncGenerator[tuple[Item, Awaitable[Data]], None]:
    """Yield each item in order with an awaitable of its data, which raises what `read` raises.

    `size_of` returns an item's size in bytes. Close the generator with contextlib.aclosing:
    closing it cancels all reads.
    """
    todo = deque(items)
    reads: deque[tuple[Item, asyncio.Task[Data]]] = deque()
    bytes_ahead = 0
    try:
        while todo or reads:
            while todo and (
                not reads
                or (len(reads) < MAX_ITEMS and bytes_ahead + size_of(todo[0]) <= MAX_BYTES)
            ):
                item = todo.popleft()
                bytes_ahead += size_of(item)
                reads.append((item, asyncio.create_task(_read(read, item))))
            item, task = reads[0]
            yield item, task
            reads.popleft()
            bytes_ahead -= size_of(item)
            del task  # free the data before waiting for the next item
    finally:
        for _, task in reads:
            task.cancel()
        await asyncio.gather(*(task for _, task in reads), return_exceptions=True)


async def _read(read: Callable[[Item], Awaitable[Data]], item: Item) -> Data:
    return await read(item)
