"""Reading ahead: order, bounds, errors, and what is left when it is closed."""

import asyncio
from contextlib import aclosing

import pytest

from agents.joining import read_ahead as module
from agents.joining.read_ahead import read_ahead


class Reader:
    """Reads numbers; each waits until it is let through."""

    def __init__(self) -> None:
        self.reading: set[int] = set()
        self.most = 0
        self.through = asyncio.Event()

    async def read(self, number: int) -> int:
        self.reading.add(number)
        self.most = max(self.most, len(self.reading))
        try:
            await self.through.wait()
            if number % 7 == 5:
                raise ValueError(str(number))
        finally:
            self.reading.discard(number)
        return -number


async def test_all_come_in_order_and_errors_where_they_belong() -> None:
    reader = Reader()
    reader.through.set()
    found: list[int | str] = []
    async with aclosing(read_ahead(range(20), reader.read, lambda _: 1)) as ahead:
        async for number, reading in ahead:
            try:
                found.append(await reading)
            except ValueError as error:
                found.append(f"{number}: {error}")
    assert found == [f"{n}: {n}" if n % 7 == 5 else -n for n in range(20)]


@pytest.mark.parametrize(
    ("size", "most"),
    [
        (1, module.MAX_ITEMS),
        (module.MAX_BYTES // 3, 3),
        (10 * module.MAX_BYTES, 1),
    ],
)
async def test_no_more_is_read_than_is_allowed(size: int, most: int) -> None:
    reader = Reader()
    async with aclosing(read_ahead(range(30), reader.read, lambda _: size)) as ahead:
        number, reading = await anext(ahead)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (number, len(reader.reading)) == (0, most)
        reader.through.set()
        assert await reading == 0
        async for number, reading in ahead:
            if number % 7 != 5:
                assert await reading == -number
    assert reader.most == most


async def test_nothing_is_read_any_more_once_it_is_closed() -> None:
    reader = Reader()
    async with aclosing(read_ahead(range(30), reader.read, lambda _: 1)) as ahead:
        await anext(ahead)
        await asyncio.sleep(0)
        assert reader.reading
    assert not reader.reading
