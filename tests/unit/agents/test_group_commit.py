"""Writing together: what comes while a write is on its way goes with the next."""

import asyncio
from collections.abc import Sequence

import pytest

from agents.indexing.group_commit import GroupWriter
from domain.errors import InvalidEventError, StoreError


class Store:
    """Notes what it is given; the first write waits until it is let go."""

    def __init__(self) -> None:
        self.writes: list[list[int]] = []
        self.gate = asyncio.Event()
        self.refused: set[int] = set()
        self.down = False

    async def write(self, items: Sequence[int]) -> None:
        self.writes.append(list(items))
        await self.gate.wait()
        if self.down:
            raise StoreError("down")
        if self.refused & set(items):
            raise InvalidEventError("refused")


async def started(writer: GroupWriter[int], *items: int) -> list["asyncio.Task[None]"]:
    tasks = [asyncio.ensure_future(writer.put([item])) for item in items]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_write_is_one_write() -> None:
    store = Store()
    writer = GroupWriter(store.write, max_weight=10)
    first = await started(writer, 1)
    rest = await started(writer, 2, 3, 4)
    assert store.writes == [[1]]
    assert not any(task.done() for task in first + rest)
    store.gate.set()
    await asyncio.gather(*first, *rest)
    assert store.writes == [[1], [2, 3, 4]]


async def test_a_write_holds_no_more_than_the_most() -> None:
    store = Store()
    store.gate.set()
    writer = GroupWriter(store.write, max_weight=2)
    await asyncio.gather(*(writer.put([item]) for item in range(5)))
    assert [len(write) for write in store.writes] == [2, 2, 1]


async def test_a_failing_store_fails_all_of_the_group_and_none_twice() -> None:
    store = Store()
    store.gate.set()
    store.down = True
    writer = GroupWriter(store.write, max_weight=10)
    done = await asyncio.gather(*(writer.put([item]) for item in range(3)), return_exceptions=True)
    assert all(isinstance(error, StoreError) for error in done)
    assert store.writes == [[0, 1, 2]]
    store.down = False
    await writer.put([9])
    assert store.writes[-1] == [9]


async def test_one_refused_item_does_not_make_the_others_suffer() -> None:
    store = Store()
    store.gate.set()
    store.refused = {1}
    writer = GroupWriter(store.write, max_weight=10)
    done = await asyncio.gather(*(writer.put([item]) for item in range(3)), return_exceptions=True)
    assert [type(error) for error in done] == [type(None), InvalidEventError, type(None)]
    assert store.writes == [[0, 1, 2], [0], [1, 2], [1], [2]]


async def test_who_gave_up_waiting_is_not_written() -> None:
    store = Store()
    writer = GroupWriter(store.write, max_weight=10)
    (first,) = await started(writer, 1)
    second, third = await started(writer, 2, 3)
    second.cancel()
    store.gate.set()
    await asyncio.gather(first, third)
    assert store.writes == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_several_of_one_caller_are_done_together() -> None:
    store = Store()
    writer = GroupWriter(store.write, max_weight=3)
    first = asyncio.ensure_future(writer.put([1, 2]))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(writer.put([3, 4, 5, 6]))
    third = asyncio.ensure_future(writer.put([7]))
    store.gate.set()
    await asyncio.gather(first, second, third)
    assert store.writes == [[1, 2], [3, 4, 5], [6, 7]]


async def test_no_caller_returns_before_its_last_item_is_written() -> None:
    store = Store()
    writer = GroupWriter(store.write, max_weight=2)
    putting = asyncio.ensure_future(writer.put([1, 2, 3]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert store.writes == [[1, 2]] and not putting.done()
    store.gate.set()
    await putting
    assert store.writes == [[1, 2], [3]]


async def test_a_refused_one_fails_its_caller_and_no_other() -> None:
    store = Store()
    store.refused = {2}
    writer = GroupWriter(store.write, max_weight=10)
    store.gate.set()
    mine, others = await asyncio.gather(
        writer.put([1, 2, 3]), writer.put([4, 5]), return_exceptions=True
    )
    assert isinstance(mine, InvalidEventError) and others is None
    assert {item for write in store.writes if 2 not in write for item in write} == {1, 3, 4, 5}


async def test_a_heavy_one_goes_alone() -> None:
    store = Store()
    store.gate.set()
    writer = GroupWriter(store.write, max_weight=10, weigh=lambda item: item)
    await writer.put([4, 5, 99, 3, 7, 1])
    assert store.writes == [[4, 5], [99], [3, 7], [1]]
