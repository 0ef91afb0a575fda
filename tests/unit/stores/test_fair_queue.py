"""Slots are shared by parties in turn, whatever each of them asks for."""

import asyncio
import random
from collections import Counter

import pytest

from stores.fair_queue import ACTIVE_S, FairQueue

pytestmark = pytest.mark.asyncio


class Worker:
    """Holds slots until the test ends them; notes who got one, in order."""

    def __init__(self, slots: int) -> None:
        self.now_s = 0.0
        self.queue = FairQueue(slots, lambda: self.now_s)
        self.began: list[str] = []
        self._running: list[tuple[str, asyncio.Event]] = []

    def ask(self, party: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._hold(party))

    async def _hold(self, party: str) -> None:
        async with self.queue.slot(party):
            self.began.append(party)
            end = asyncio.Event()
            self._running.append((party, end))
            await end.wait()

    async def end_oldest(self) -> None:
        self._running.pop(0)[1].set()
        await self.settle()

    @property
    def running(self) -> Counter[str]:
        return Counter(party for party, _ in self._running)

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_a_flood_does_not_delay_another_party() -> None:
    worker = Worker(2)
    tasks = [worker.ask("flood") for _ in range(50)]
    await worker.settle()
    assert worker.running == {"flood": 2}, "alone, it may have all slots"
    tasks.append(worker.ask("other"))
    await worker.settle()
    await worker.end_oldest()
    assert worker.began == ["flood", "flood", "other"], "next, before 48 that asked earlier"
    for _ in range(20):  # one slot is always left for the other party
        tasks.append(worker.ask("other"))
        await worker.settle()
        await worker.end_oldest()
        assert worker.running["flood"] <= 1
    assert worker.began.count("other") >= 10
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not worker.queue._running
    assert not worker.queue._waiting


async def test_the_reserve_ends_when_the_other_party_is_quiet() -> None:
    worker = Worker(2)
    other = worker.ask("other")
    await worker.settle()
    await worker.end_oldest()
    await other
    first = [worker.ask("flood") for _ in range(2)]
    await worker.settle()
    assert worker.running == {"flood": 1}
    worker.now_s = ACTIVE_S + 1
    first.append(worker.ask("flood"))
    await worker.settle()
    assert worker.running["flood"] == 2
    for task in first:
        task.cancel()
    await asyncio.gather(*first, return_exceptions=True)


async def test_a_slot_that_is_waited_for_in_vain_is_not_lost() -> None:
    worker = Worker(1)
    holder = worker.ask("a")
    await worker.settle()
    with pytest.raises(TimeoutError):
        async with worker.queue.slot("b", within_s=0):
            raise AssertionError
    impatient = worker.ask("b")
    waiting = worker.ask("c")
    await worker.settle()
    impatient.cancel()
    await worker.end_oldest()
    await holder
    assert worker.began == ["a", "c"]
    waiting.cancel()
    await asyncio.gather(impatient, waiting, return_exceptions=True)


async def test_random_parties_never_exceed_the_slots_and_no_one_starves() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(30):
        slots = rng.randint(1, 4)
        worker = Worker(slots)
        tasks = []
        for _ in range(60):
            if rng.random() < 0.6:
                tasks.append(worker.ask(rng.choice("aaaaaaab")))
            elif tasks and rng.random() < 0.3:
                rng.choice(tasks).cancel()
            elif worker._running:
                await worker.end_oldest()
            await worker.settle()
            assert worker.queue._running.total() <= slots
        while worker._running:
            await worker.end_oldest()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not worker.queue._running
        assert not worker.queue._waiting
