"""Reading ahead: what is wanted next is fetched while what came before is worked on.

wanted    0 1 2 3 4 5 6 7 …     in order
reading       └─┴─┘             so many and so many bytes at a time, at least one
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")

MOST = 8
MOST_BYTES = 12 << 20
"""Bytes read ahead at most, but for a single one that is larger."""


async def read_ahead(
    wanted: Iterable[Wanted],
    read: Callable[[Wanted], Awaitable[Found]],
    size_of: Callable[[Wanted], int],
) -> AsyncGenerator[tuple[Wanted, Awaitable[Found]], None]:
    """Yield each of `wanted` in order with what to await for it, which raises what `read` raises.

    Close it (contextlib.aclosing): then nothing is being read any more.
    """
    todo = deque(wanted)
    begun: deque[tuple[Wanted, asyncio.Task[Found]]] = deque()
    ahead = 0
    try:
        while todo or begun:
            while todo and (
                not begun or (len(begun) < MOST and ahead + size_of(todo[0]) <= MOST_BYTES)
            ):
                item = todo.popleft()
                ahead += size_of(item)
                begun.append((item, asyncio.create_task(_read(read, item))))
            item, reading = begun[0]
            yield item, reading
            begun.popleft()
            ahead -= size_of(item)
            del reading  # what was read is not held while the next is waited for
    finally:
        for _, reading in begun:
            reading.cancel()
        await asyncio.gather(*(reading for _, reading in begun), return_exceptions=True)


async def _read(read: Callable[[Wanted], Awaitable[Found]], wanted: Wanted) -> Found:
    return await read(wanted)
