"""The worker from decoded frames to messages: cameras share batches, and nothing else."""

import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
import pytest

from edge_bridge.config.inference import InferenceConfig
from edge_bridge.inference import model_runner
from edge_bridge.inference.decode import DecodedFrame
from edge_bridge.inference.worker import InferenceWorker
from stores.ipc import WorkerChannel
from tests.unit.edge_bridge.encoded_frames import OTHER_RUN, RUN, START_MS
from tests.waiting import wait_for
from vision.detector import BgrImage, DetectedObject, clip

HIGH, LOW = "acme/north/high", "acme/south/low"
PICTURES = 24


class Bright:
    """Finds the one bright place of each picture; waits until `go` is set."""

    model, model_version, provider, batch = "bright", "1", "test", 8

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[list[bool]] = []
        """For each batch: is the bright place of each picture in its upper half?"""

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        return width // 2, height // 2

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        assert self.go.wait(60)
        found = [self._bright(picture) for picture in pictures]
        self.batches.append([each[0].box[1] < 0.5 for each in found])
        return found

    def _bright(self, picture: BgrImage) -> list[DetectedObject]:
        height, width = picture.shape[:2]
        down, across = np.nonzero(picture[..., 1] > 150)
        box = clip(
            across.min() / width,
            down.min() / height,
            (across.max() + 1) / width,
            (down.max() + 1) / height,
        )
        assert box is not None
        return [DetectedObject("person", 0.9, box)]


def shown(number: int, top: int) -> av.VideoFrame:
    """A dark picture of 200 x 120 with a bright block that moves to the right."""
    picture = np.full((120, 200, 3), 30, np.uint8)
    picture[top : top + 40, 4 + 6 * number : 24 + 6 * number] = 220
    return av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_cameras_share_batches_and_each_keeps_its_own_tracks_across_them(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten pictures a second of each of two cameras; the model starts when all of them wait."""
    monkeypatch.setattr(model_runner, "BEHIND_LAG_S", 600.0)
    detector = Bright()
    config = InferenceConfig.model_validate(
        {"model": "any.yaml", "rate_fps": 10, "batch": 8, "motion": {"enabled": False}}
    )
    worker = InferenceWorker(WorkerChannel(ends[1]), config, {}, detector)
    for number in range(PICTURES):
        for camera, run, top in ((HIGH, RUN, 10), (LOW, OTHER_RUN, 70)):
            at_ms = START_MS + number * 100
            decoded = DecodedFrame(run, number * 9_000, at_ms, shown(number, top))
            sample = worker.pipeline(camera).sample(decoded, worker.rate)
            assert sample is not None
            assert (sample.picture.shape, sample.aspect) == ((60, 100, 3), 200 / 120)
            worker.runner.offer(sample)
    detector.go.set()
    counted: Counter[str] = Counter()

    def all_analysed() -> bool:
        for camera, outcomes in worker.take_outcomes().items():
            counted[camera] += outcomes.get("looked", 0)
        return counted.total() == 2 * PICTURES

    await wait_for(all_analysed, within_s=30, what="all analysed")
    worker.runner.finish(30)
    assert counted == {HIGH: PICTURES, LOW: PICTURES}
    assert max(len(batch) for batch in detector.batches) == 8
    assert any(batch.count(True) >= 2 and batch.count(False) >= 2 for batch in detector.batches)

    ends[1].shutdown(socket.SHUT_WR)
    channel = WorkerChannel(ends[0])
    messages: list[dict[str, Any]] = []
    while sum(len(message["frames"]) for message in messages) < 2 * PICTURES:
        received = channel.receive(30)
        assert received is not None
        messages.append(received[0])
    frames: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        assert message["run"] == {HIGH: RUN, LOW: OTHER_RUN}[message["camera"]]
        frames[message["camera"]] += message["frames"]
    for camera, upper in ((HIGH, True), (LOW, False)):
        assert [frame["pts"] for frame in frames[camera]] == [n * 9_000 for n in range(PICTURES)]
        objects = [frame["objects"] for frame in frames[camera]]
        assert all(len(each) == 1 and (each[0]["box"][1] < 0.5) == upper for each in objects)
        assert {each[0]["track"] for each in objects} == {"0-0"}, "one person, one track"
