"""The feed: bounded, never waiting, whole groups of pictures or none."""

import asyncio
import itertools
import random
import threading
from typing import Any

import av
import pytest
from prometheus_client import REGISTRY

from edge_bridge.encoded_frame import CodecParameters, EncodedFrame
from edge_bridge.inference.frame_queue import FrameQueue, QueuedFrame


def offer(
    feed: FrameQueue, pts: int, *, keyframe: bool, camera: str = "a/b/c", size: int = 1
) -> bool:
    parameters = CodecParameters("h264", b"", 64, 64)
    return feed.offer(EncodedFrame(camera, "run", b"x" * size, pts, pts, keyframe, parameters))


async def take_all(feed: FrameQueue) -> list[QueuedFrame]:
    return [await feed.take() for _ in range(feed.waiting)]


def dropped(camera: str) -> float:
    labels = {"camera": camera}
    return REGISTRY.get_sample_value("vigil_inference_dropped_gops_total", labels) or 0


async def test_it_begins_at_a_keyframe_which_is_fresh() -> None:
    feed = FrameQueue()
    feed.open()
    assert [offer(feed, pts, keyframe=pts == 2) for pts in range(5)] == [False, False] + [True] * 3
    assert [(one.picture.pts, one.fresh) for one in await take_all(feed)] == [
        (2, True),
        (3, False),
        (4, False),
    ]


class Untouchable:
    """A packet of capture that nobody may copy."""

    size = 6

    def __bytes__(self) -> bytes:
        raise AssertionError("it was copied")


async def test_only_what_is_taken_is_copied_and_it_lasts() -> None:
    feed, parameters = FrameQueue(), CodecParameters("h264", b"", 64, 64)
    unwanted: Any = Untouchable()
    assert not feed.offer(EncodedFrame("a/b/c", "run", unwanted, 0, 0, True, parameters)), "closed"
    feed.open()
    assert not feed.offer(EncodedFrame("a/b/c", "run", unwanted, 0, 0, False, parameters))
    packet = av.Packet(bytes(bytearray(b"before")))  # it writes into what it was given
    assert feed.offer(EncodedFrame("a/b/c", "run", packet, 1, 1, True, parameters))
    packet.update(b"after!")
    assert (await feed.take()).picture.data == b"before"


async def test_a_full_queue_loses_the_rest_of_the_group_and_goes_on_at_a_keyframe() -> None:
    """
    max 8    K0 p1 p2 p3 │K4 p5 p6 p7 │K8 p9 … │K12: taken, the queue is half empty again
             ╰── 8 packets, full ────╯ ╰ dropped ╯
    """
    camera = "drop/rest/of-group"
    feed = FrameQueue(8)
    feed.open()
    before = dropped(camera)
    taken = [offer(feed, pts, keyframe=pts % 4 == 0, camera=camera) for pts in range(12)]
    assert taken == [True] * 8 + [False] * 4
    assert dropped(camera) - before == 1
    assert [one.picture.pts for one in await take_all(feed)] == list(range(8))
    assert offer(feed, 12, keyframe=True, camera=camera)
    assert (await feed.take()).fresh


async def test_a_group_that_is_cut_counts_once() -> None:
    camera = "drop/cut/group"
    feed = FrameQueue(8)
    feed.open()
    before = dropped(camera)
    taken = [offer(feed, pts, keyframe=pts == 0, camera=camera) for pts in range(20)]
    assert sum(taken) == 8
    assert dropped(camera) - before == 1


async def test_one_camera_cannot_crowd_out_another() -> None:
    feed = FrameQueue(8)
    feed.open()
    for pts in range(50):
        offer(feed, pts, keyframe=pts == 0, camera="a/b/loud")
    assert offer(feed, 0, keyframe=True, camera="a/b/quiet")


async def test_bytes_are_bounded_too() -> None:
    feed = FrameQueue(1000, max_bytes=10_000)
    feed.open()
    assert offer(feed, 0, keyframe=True, size=6_000)
    assert not offer(feed, 1, keyframe=False, size=6_000)
    await feed.take()
    assert offer(feed, 2, keyframe=True, size=6_000)


async def test_closed_it_takes_nothing_and_forgets_what_waited() -> None:
    camera = "closed/feed/cam"
    feed = FrameQueue()
    before = dropped(camera)
    assert not offer(feed, 0, keyframe=True, camera=camera)
    feed.open()
    assert not offer(feed, 1, keyframe=False, camera=camera)
    assert offer(feed, 2, keyframe=True, camera=camera)
    feed.close()
    assert feed.waiting == 0
    assert dropped(camera) - before == 2
    feed.open()
    assert not offer(feed, 3, keyframe=False, camera=camera)
    assert offer(feed, 4, keyframe=True, camera=camera)
    assert (await feed.take()).fresh


@pytest.mark.parametrize("seed", range(3))
async def test_offers_of_many_threads_keep_each_cameras_order(seed: int) -> None:
    """Whatever is dropped: what is taken is decodable, in order, and marked where it is not."""
    print("seed", seed)
    feed = FrameQueue(16)
    feed.open()
    done = threading.Event()

    def capture(camera: str, chance: random.Random) -> None:
        for pts in range(2_000):
            offer(feed, pts, keyframe=pts % 10 == 0, camera=camera)
            if chance.random() < 0.01:
                done.wait(0.001)

    cameras = [f"a/b/cam{i}" for i in range(3)]
    threads = [
        threading.Thread(target=capture, args=(camera, random.Random(seed * 10 + i)))
        for i, camera in enumerate(cameras)
    ]
    for thread in threads:
        thread.start()
    taken: list[QueuedFrame] = []
    while any(thread.is_alive() for thread in threads) or feed.waiting:
        try:
            taken.append(await asyncio.wait_for(feed.take(), 0.05))
        except TimeoutError:
            continue
    for thread in threads:
        thread.join()
    for camera in cameras:
        mine = [one for one in taken if one.picture.camera == camera]
        assert mine[0].fresh
        for before, after in itertools.pairwise(mine):
            if after.fresh:
                assert after.picture.keyframe and after.picture.pts > before.picture.pts
            else:
                assert after.picture.pts == before.picture.pts + 1
