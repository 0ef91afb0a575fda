"""The end of a worker's process: what was cancelled ends, and nothing else is waited for."""

import asyncio

import faust
import pytest

from streams.quiet_worker import QuietWorker


@pytest.fixture
def worker() -> QuietWorker:
    return QuietWorker(faust.App("ending", autodiscover=False))


async def test_tasks_that_were_cancelled_end_before_the_loop_is_closed(worker: QuietWorker) -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await worker.before_close()
    assert cleaned == [True]


def test_without_a_task_left_it_waits_for_nothing(worker: QuietWorker) -> None:
    async def ending() -> None:
        with pytest.raises(StopIteration):
            worker.before_close().send(None)

    asyncio.run(ending())
