"""The eyes' threads: order of each camera, cameras beside each other, bounds, faults."""

import threading
from functools import partial

import pytest

from edge_bridge.inference.decode_pool import MAX_QUEUED, DecodePool
from tests.waiting import wait_for


def test_each_cameras_work_is_done_in_its_order_by_one_thread() -> None:
    crew, done = DecodePool(3), []
    for number in range(200):
        for camera in "abcde":
            crew.give(camera, lambda c=camera, n=number: done.append((c, n, threading.get_ident())))
    crew.finish(30)
    for camera in "abcde":
        assert [n for c, n, _ in done if c == camera] == list(range(200))
        assert len({thread for c, _, thread in done if c == camera}) == 1
    assert len({thread for _, _, thread in done}) == 3


async def test_a_slow_camera_leaves_the_other_threads_alone_and_is_bounded() -> None:
    crew, go, done, given = DecodePool(2), threading.Event(), [], []

    def give_slow() -> None:
        for number in range(3 * MAX_QUEUED):
            crew.give("slow", partial(go.wait, 60))
            given.append(number)

    giver = threading.Thread(target=give_slow)
    giver.start()
    # One is being done, the others wait; whoever gives more waits too.
    await wait_for(lambda: len(given) == MAX_QUEUED + 1, within_s=30, what="the bound")
    for number in range(100):
        crew.give("quick", partial(done.append, number))
    await wait_for(lambda: len(done) == 100, within_s=30, what="the other camera")
    assert len(given) == MAX_QUEUED + 1
    go.set()
    giver.join(30)
    assert len(given) == 3 * MAX_QUEUED
    crew.finish(30)


async def test_a_fault_is_raised_to_whoever_gives_and_holds_nobody_up() -> None:
    crew = DecodePool(2)
    crew.give("a", partial(int, "no number"))
    await wait_for(lambda: crew.fault, within_s=30, what="the fault")
    for camera in "abc":
        with pytest.raises(ValueError, match="no number"):
            crew.give(camera, print)
    crew.finish(30)
