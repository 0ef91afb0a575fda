"""The model's own threads: batches, bounds, faults."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from domain.errors import ModelError
from edge_bridge.inference.camera_pipeline import SampledFrame
from edge_bridge.inference.model_runner import MAX_WAITING, BatchRunner
from edge_bridge.inference.outcome_counts import OutcomeCounts
from tests.unit.edge_bridge.encoded_frames import CAMERA, RUN, START_MS
from tests.unit.vision.models import write_card, write_seeing
from tests.waiting import wait_for
from vision.detector import BgrImage, DetectedObject
from vision.onnx_detector import load

TALLY = OutcomeCounts()


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    TALLY.take()


def counted() -> dict[str, int]:
    return TALLY.take().get(CAMERA, {})


class Slow:
    """A detector that waits for a word before each look."""

    model, model_version, provider, batch = "slow", "1", "test", 4

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.looks: list[int] = []

    def useful_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        self.looks.append(len(pictures))
        assert self.go.acquire(timeout=60)
        if not pictures[0].any():
            raise ModelError("The model is broken.")
        return [[DetectedObject("person", 0.9, (0, 0, 1, 1))] for _ in pictures]


class Stepwise:
    """A detector whose model and whose reading each wait for a word."""

    model, model_version, provider, batch = "stepwise", "1", "test", 1

    def __init__(self) -> None:
        self.may_compute, self.may_read = threading.Semaphore(0), threading.Semaphore(0)
        self.prepared, self.computing, self.reading = 0, 0, 0

    def useful_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        return self.read(self.compute(self.prepare(pictures)))

    def prepare(self, pictures: Sequence[BgrImage]) -> Sequence[BgrImage]:
        self.prepared += 1
        return pictures

    def compute(self, prepared: Sequence[BgrImage]) -> Sequence[BgrImage]:
        self.computing += 1
        assert self.may_compute.acquire(timeout=60)
        if not prepared[0].any():
            raise ModelError("The model is broken.")
        return prepared

    def read(self, computed: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        self.reading += 1
        assert self.may_read.acquire(timeout=60)
        return [[] for _ in computed]


def picture_of(number: int) -> SampledFrame:
    return SampledFrame(
        CAMERA, RUN, number, START_MS + number, np.full((8, 8, 3), 200, np.uint8), 1
    )


async def test_a_batch_is_what_waits_and_the_oldest_go_when_too_many_do() -> None:
    detector, seen = Slow(), []
    tell = lambda samples, found: seen.append([s.pts for s in samples])  # noqa: E731
    looker = BatchRunner(detector, tell, TALLY, batch=8, batch_s=0.02)
    looker.offer(picture_of(0))
    await wait_for(lambda: detector.looks, within_s=30, what="the first look: nobody else came")
    for number in range(1, MAX_WAITING + 4):
        looker.offer(picture_of(number))
    assert looker.stuck_s > 0
    assert looker.lag_s > 0
    detector.go.release(1_000)
    await wait_for(lambda: sum(map(len, seen)) == MAX_WAITING + 1, within_s=30, what="all seen")
    assert [pts for batch in seen for pts in batch] == [0, *range(4, MAX_WAITING + 4)]
    assert detector.looks == [1, *[4] * (MAX_WAITING // 4)]
    assert counted() == {"behind": 3}
    assert looker.spent_s() > 0
    looker.finish(30)


async def test_what_waits_is_still_looked_at_when_no_more_comes() -> None:
    detector, seen = Slow(), []
    looker = BatchRunner(
        detector, lambda samples, _: seen.extend(s.pts for s in samples), TALLY,
        batch=4, batch_s=60,
    )  # fmt: skip
    looker.offer(picture_of(1))
    looker.offer(picture_of(2))
    assert not detector.looks  # it would wait a minute for two more
    detector.go.release(10)
    looker.finish(30)
    assert seen == [1, 2]
    assert looker.fault is None


async def test_batches_prepared_ahead_keep_their_pictures_apart(tmp_path: Path) -> None:
    """Each picture's score is its brightness: one that got another's buffer would be found out."""
    write_seeing(tmp_path / "model.onnx")
    spec = {"width": 64, "height": 64, "scale": 1 / 255, "resize": "stretch"}
    changes = {"input": spec, "thresholds": {"score": 0.01}}
    detector = load(write_card(tmp_path, {"layout": "yolov8"}, **changes), batch=3)
    seen: list[tuple[int, float]] = []

    def tell(samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        for sample, several in zip(samples, found, strict=True):
            seen.append((sample.pts, several[0].score))

    looker = BatchRunner(detector, tell, TALLY, batch=3, batch_s=0.001)
    for number in range(200):
        await wait_for(lambda: looker.waiting < 9, within_s=30, what="room")
        shown = np.full((64, 64, 3), 20 + number, np.uint8)
        looker.offer(SampledFrame(CAMERA, RUN, number, START_MS + number, shown, 1))
    looker.finish(30)
    assert [pts for pts, _ in seen] == list(range(200))
    assert all(score == pytest.approx((20 + pts) / 255, abs=0.002) for pts, score in seen)


async def test_a_model_that_fails_ends_the_thread_and_says_so() -> None:
    detector = Slow()
    looker = BatchRunner(detector, lambda *_: None, TALLY, batch=4, batch_s=0)
    detector.go.release(10)
    looker.offer(SampledFrame(CAMERA, RUN, 0, 0, np.zeros((8, 8, 3), np.uint8), 1))
    await wait_for(lambda: looker.fault, within_s=30, what="the fault")
    assert isinstance(looker.fault, ModelError)


async def test_the_model_works_while_one_batch_is_prepared_and_another_read() -> None:
    """
    prepare  0 1 .   2          at most two that are not computed: their buffers are two
    compute    0 .   1 2
    read             0 .
    """
    detector, seen = Stepwise(), []
    looker = BatchRunner(
        detector, lambda samples, _: seen.extend(s.pts for s in samples), TALLY, batch=1, batch_s=0
    )
    for number in range(10):
        looker.offer(picture_of(number))
    await wait_for(lambda: detector.prepared == 2, within_s=30, what="the next batch")
    assert (detector.computing, detector.reading) == (1, 0)
    detector.may_compute.release()
    await wait_for(
        lambda: (detector.computing, detector.reading) == (2, 1), within_s=30, what="the second"
    )
    # Nothing is read yet, so the model may go on for two batches, and then waits for telling.
    detector.may_compute.release(10)
    await wait_for(lambda: detector.computing == 4, within_s=30, what="the bound")
    await wait_for(lambda: looker.stuck_s > 0, within_s=30, what="the model to wait")
    assert (detector.computing, detector.reading, seen) == (4, 1, [])
    detector.may_read.release(10)
    looker.finish(30)
    assert seen == list(range(10))
    assert looker.fault is None


async def test_what_was_computed_before_a_fault_is_told() -> None:
    detector, seen = Stepwise(), []
    looker = BatchRunner(
        detector, lambda samples, _: seen.extend(s.pts for s in samples), TALLY, batch=1, batch_s=0
    )
    looker.offer(picture_of(0))
    looker.offer(picture_of(1))
    looker.offer(SampledFrame(CAMERA, RUN, 2, 0, np.zeros((8, 8, 3), np.uint8), 1))
    detector.may_compute.release(10)
    await wait_for(lambda: looker.fault, within_s=30, what="the fault")
    detector.may_read.release(10)
    looker.finish(30)
    assert seen == [0, 1]
    assert isinstance(looker.fault, ModelError)


async def test_telling_that_fails_ends_it_without_holding_up_the_model() -> None:
    detector = Stepwise()

    def tell(samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        raise ConnectionError("nobody listens")

    looker = BatchRunner(detector, tell, TALLY, batch=1, batch_s=0)
    for number in range(10):
        looker.offer(picture_of(number))
    detector.may_compute.release(20)
    detector.may_read.release(20)
    await wait_for(lambda: looker.fault, within_s=30, what="the fault")
    looker.finish(30)
    assert isinstance(looker.fault, ConnectionError)
