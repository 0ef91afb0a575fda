"""The decode threads: order of each camera, cameras in parallel, bounds, errors."""

import threading
from functools import partial

import pytest

from edge_bridge.inference.decode_pool import MAX_QUEUED, DecodePool
from tests.waiting import wait_for


def test_one_thread_runs_each_cameras_jobs_in_order() -> None:
    pool, done = DecodePool(3), []
    for number in range(200):
        for camera in "abcde":
            pool.submit(
                camera, lambda c=camera, n=number: done.append((c, n, threading.get_ident()))
            )
    pool.finish(30)
    for camera in "abcde":
        assert [n for c, n, _ in done if c == camera] == list(range(200))
        assert len({thread for c, _, thread in done if c == camera}) == 1
    assert len({thread for _, _, thread in done}) == 3


async def test_a_slow_camera_does_not_slow_others_and_is_bounded() -> None:
    pool, go, done, submitted = DecodePool(2), threading.Event(), [], []

    def submit_slow() -> None:
        for number in range(3 * MAX_QUEUED):
            pool.submit("slow", partial(go.wait, 60))
            submitted.append(number)

    submitter = threading.Thread(target=submit_slow)
    submitter.start()
    # One runs, the others wait; and `submit` waits.
    await wait_for(lambda: len(submitted) == MAX_QUEUED + 1, within_s=30, what="the bound")
    for number in range(100):
        pool.submit("quick", partial(done.append, number))
    await wait_for(lambda: len(done) == 100, within_s=30, what="the other camera")
    assert len(submitted) == MAX_QUEUED + 1
    go.set()
    submitter.join(30)
    assert len(submitted) == 3 * MAX_QUEUED
    pool.finish(30)


async def test_submit_raises_an_error_and_nothing_blocks() -> None:
    pool = DecodePool(2)
    pool.submit("a", partial(int, "no number"))
    await wait_for(lambda: pool.error, within_s=30, what="the error")
    for camera in "abc":
        with pytest.raises(ValueError, match="no number"):
            pool.submit(camera, print)
    pool.finish(30)
