"""The spool's thread: it owns the spool, and no caller waits for the disk."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.spool import open_spool
from edge_bridge.spool.thread import SpoolThread
from tests.unit.edge_bridge.material import RUN, T0_MS, fragment, started

SIZE = 1_880
PLENTY = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)


@pytest.fixture
async def spool(tmp_path: Path) -> AsyncIterator[SpoolThread]:
    thread = SpoolThread(lambda: open_spool(tmp_path, "e1", PLENTY), lambda: None)
    yield thread
    thread.close()


def store(spool: SpoolThread, seqs: range) -> None:
    for seq in seqs:
        spool.fragment(*fragment(seq, size=SIZE), started())


async def seqs_waiting(spool: SpoolThread) -> list[int]:
    return [row.seq for row in await spool.call(lambda access: access.waiting(100))]


async def test_other_limits_hold_from_the_next_fragment_on(spool: SpoolThread) -> None:
    #  fragments   0 1 2 3 │ limit: 2 fragments │ 4 5
    #  left        0 1 2 3                        4 5
    store(spool, range(4))
    spool.set_limits(SpoolLimits(max_bytes=2 * SIZE, free_floor_bytes=0, free_floor_s=0))
    assert await seqs_waiting(spool) == [0, 1, 2, 3]
    store(spool, range(4, 6))
    assert await seqs_waiting(spool) == [4, 5]
    assert spool.status().given_up == 4
    assert spool.status().file_bytes == 2 * SIZE


async def test_neither_status_nor_new_limits_wait_for_the_disk(spool: SpoolThread) -> None:
    store(spool, range(2))
    await seqs_waiting(spool)
    release, busy = threading.Event(), threading.Event()

    def block(_: object) -> bool:
        busy.set()
        return release.wait(20)

    blocked = spool.submit(block)
    try:
        assert busy.wait(20)
        store(spool, range(2, 4))
        spool.set_limits(SpoolLimits(max_bytes=SIZE, free_floor_bytes=0, free_floor_s=0))
        store(spool, range(4, 5))
        status = spool.status()
        assert (status.disk, status.accepts_rows, status.recovering) == ("good", True, False)
        assert (status.file_bytes, status.given_up) == (2 * SIZE, 0)
        assert not blocked.done()
    finally:
        release.set()
    assert blocked.result(20)
    # In the order of the calls: 2 and 3 were stored with the old limits, 4 with the new ones.
    assert await seqs_waiting(spool) == [4]
    assert spool.status().given_up == 4


async def test_a_file_is_read_without_the_thread(spool: SpoolThread) -> None:
    store(spool, range(1))
    (row,) = await spool.call(lambda access: access.waiting(1))
    file = spool.open_file(row, row.size)
    assert b"".join(file.blocks()) == fragment(0, size=SIZE)[1]
    file.close()
    await spool.call(lambda access: access.give_up(row.id, "damaged"))
    with pytest.raises(FileNotFoundError):
        spool.open_file(row, row.size)


async def test_the_free_space_and_its_minimum_are_reported(spool: SpoolThread) -> None:
    spool.set_limits(SpoolLimits(max_bytes=1 << 30, free_floor_bytes=8 << 20, free_floor_s=0))
    spool.end_run(RUN, T0_MS, "closed")
    await seqs_waiting(spool)
    free, min_free = spool.space()
    assert free > 0
    assert min_free == 8 << 20
