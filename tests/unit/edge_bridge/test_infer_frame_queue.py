"""The frame queue: bounded, never waiting, whole GOPs or none."""

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
    frames: FrameQueue, pts: int, *, keyframe: bool, camera: str = "a/b/c", size: int = 1
) -> bool:
    parameters = CodecParameters("h264", b"", 64, 64)
    return frames.offer(EncodedFrame(camera, "run", b"x" * size, pts, pts, keyframe, parameters))


async def take_all(frames: FrameQueue) -> list[QueuedFrame]:
    return [await frames.take() for _ in range(frames.waiting)]


def dropped(camera: str) -> float:
    labels = {"camera": camera}
    return REGISTRY.get_sample_value("vigil_inference_dropped_gops_total", labels) or 0


async def test_it_starts_at_a_keyframe_with_a_discontinuity() -> None:
    frames = FrameQueue()
    frames.open()
    assert [offer(frames, pts, keyframe=pts == 2) for pts in range(5)] == [False, False] + [
        True
    ] * 3
    assert [(one.frame.pts, one.discontinuity) for one in await take_all(frames)] == [
        (2, True),
        (3, False),
        (4, False),
    ]


class Untouchable:
    """A packet of capture that must not be copied."""

    size = 6

    def __bytes__(self) -> bytes:
        raise AssertionError("it was copied")


async def test_only_accepted_packets_are_copied_and_the_copy_lasts() -> None:
    frames, parameters = FrameQueue(), CodecParameters("h264", b"", 64, 64)
    unwanted: Any = Untouchable()
    assert not frames.offer(EncodedFrame("a/b/c", "run", unwanted, 0, 0, True, parameters)), (
        "closed"
    )
    frames.open()
    assert not frames.offer(EncodedFrame("a/b/c", "run", unwanted, 0, 0, False, parameters))
    packet = av.Packet(bytes(bytearray(b"before")))  # it writes into the given buffer
    assert frames.offer(EncodedFrame("a/b/c", "run", packet, 1, 1, True, parameters))
    packet.update(b"after!")
    assert (await frames.take()).frame.data == b"before"


async def test_a_full_queue_drops_the_rest_of_the_gop_and_continues_at_a_keyframe() -> None:
    """
    max 8    K0 p1 p2 p3 │K4 p5 p6 p7 │K8 p9 … │K12: accepted, the queue is half empty again
             ╰── 8 packets, full ────╯ ╰ dropped ╯
    """
    camera = "drop/rest/of-gop"
    frames = FrameQueue(8)
    frames.open()
    before = dropped(camera)
    taken = [offer(frames, pts, keyframe=pts % 4 == 0, camera=camera) for pts in range(12)]
    assert taken == [True] * 8 + [False] * 4
    assert dropped(camera) - before == 1
    assert [one.frame.pts for one in await take_all(frames)] == list(range(8))
    assert offer(frames, 12, keyframe=True, camera=camera)
    assert (await frames.take()).discontinuity


async def test_a_gop_that_is_cut_counts_once() -> None:
    camera = "drop/cut/gop"
    frames = FrameQueue(8)
    frames.open()
    before = dropped(camera)
    taken = [offer(frames, pts, keyframe=pts == 0, camera=camera) for pts in range(20)]
    assert sum(taken) == 8
    assert dropped(camera) - before == 1


async def test_one_camera_cannot_displace_another() -> None:
    frames = FrameQueue(8)
    frames.open()
    for pts in range(50):
        offer(frames, pts, keyframe=pts == 0, camera="a/b/loud")
    assert offer(frames, 0, keyframe=True, camera="a/b/quiet")


async def test_bytes_are_bounded_too() -> None:
    frames = FrameQueue(1000, max_bytes=10_000)
    frames.open()
    assert offer(frames, 0, keyframe=True, size=6_000)
    assert not offer(frames, 1, keyframe=False, size=6_000)
    await frames.take()
    assert offer(frames, 2, keyframe=True, size=6_000)


async def test_a_closed_queue_accepts_nothing_and_drops_what_waited() -> None:
    camera = "closed/queue/cam"
    frames = FrameQueue()
    before = dropped(camera)
    assert not offer(frames, 0, keyframe=True, camera=camera)
    frames.open()
    assert not offer(frames, 1, keyframe=False, camera=camera)
    assert offer(frames, 2, keyframe=True, camera=camera)
    frames.close()
    assert frames.waiting == 0
    assert dropped(camera) - before == 2
    frames.open()
    assert not offer(frames, 3, keyframe=False, camera=camera)
    assert offer(frames, 4, keyframe=True, camera=camera)
    assert (await frames.take()).discontinuity


@pytest.mark.parametrize("seed", range(3))
async def test_offers_of_many_threads_keep_each_cameras_order(seed: int) -> None:
    """Whatever is dropped: the rest is decodable, in order, and each discontinuity is marked."""
    print("seed", seed)
    frames = FrameQueue(16)
    frames.open()
    done = threading.Event()

    def capture(camera: str, chance: random.Random) -> None:
        for pts in range(2_000):
            offer(frames, pts, keyframe=pts % 10 == 0, camera=camera)
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
    while any(thread.is_alive() for thread in threads) or frames.waiting:
        try:
            taken.append(await asyncio.wait_for(frames.take(), 0.05))
        except TimeoutError:
            continue
    for thread in threads:
        thread.join()
    for camera in cameras:
        mine = [one for one in taken if one.frame.camera == camera]
        assert mine[0].discontinuity
        for before, after in itertools.pairwise(mine):
            if after.discontinuity:
                assert after.frame.keyframe and after.frame.pts > before.frame.pts
            else:
                assert after.frame.pts == before.frame.pts + 1
