"""The model's threads: batches, bounds, errors."""

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

OUTCOMES = OutcomeCounts()


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    OUTCOMES.take()


def counted() -> dict[str, int]:
    return OUTCOMES.take().get(CAMERA, {})


class Slow:
    """A detector that waits for `go` before each batch."""

    model, model_version, provider, batch = "slow", "1", "test", 4

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.batches: list[int] = []

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        self.batches.append(len(pictures))
        assert self.go.acquire(timeout=60)
        if not pictures[0].any():
            raise ModelError("The model is broken.")
        return [[DetectedObject("person", 0.9, (0, 0, 1, 1))] for _ in pictures]


class Stepwise:
    """A staged detector; its model and its postprocessing wait for a permission each time."""

    model, model_version, provider, batch = "stepwise", "1", "test", 1

    def __init__(self) -> None:
        self.may_infer, self.may_postprocess = threading.Semaphore(0), threading.Semaphore(0)
        self.preprocessed, self.inferring, self.postprocessing = 0, 0, 0

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        return width, height

    def detect(self, pictures: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        return self.postprocess(self.infer(self.preprocess(pictures)))

    def preprocess(self, pictures: Sequence[BgrImage]) -> Sequence[BgrImage]:
        self.preprocessed += 1
        return pictures

    def infer(self, preprocessed: Sequence[BgrImage]) -> Sequence[BgrImage]:
        self.inferring += 1
        assert self.may_infer.acquire(timeout=60)
        if not preprocessed[0].any():
            raise ModelError("The model is broken.")
        return preprocessed

    def postprocess(self, output: Sequence[BgrImage]) -> list[list[DetectedObject]]:
        self.postprocessing += 1
        assert self.may_postprocess.acquire(timeout=60)
        return [[] for _ in output]


def picture_of(number: int) -> SampledFrame:
    return SampledFrame(
        CAMERA, RUN, number, START_MS + number, np.full((8, 8, 3), 200, np.uint8), 1
    )


async def test_a_batch_is_what_waits_and_the_oldest_are_dropped() -> None:
    detector, seen = Slow(), []
    report = lambda samples, found: seen.append([s.pts for s in samples])  # noqa: E731
    runner = BatchRunner(detector, report, OUTCOMES, batch=8, batch_s=0.02)
    runner.offer(picture_of(0))
    await wait_for(
        lambda: detector.batches, within_s=30, what="the first batch: no other frame came"
    )
    for number in range(1, MAX_WAITING + 4):
        runner.offer(picture_of(number))
    assert runner.busy_s > 0
    assert runner.lag_s > 0
    detector.go.release(1_000)
    await wait_for(lambda: sum(map(len, seen)) == MAX_WAITING + 1, within_s=30, what="all seen")
    assert [pts for batch in seen for pts in batch] == [0, *range(4, MAX_WAITING + 4)]
    assert detector.batches == [1, *[4] * (MAX_WAITING // 4)]
    assert counted() == {"behind": 3}
    assert runner.spent_s() > 0
    runner.finish(30)


async def test_what_waits_is_analysed_when_no_more_comes() -> None:
    detector, seen = Slow(), []
    runner = BatchRunner(
        detector, lambda samples, _: seen.extend(s.pts for s in samples), OUTCOMES,
        batch=4, batch_s=60,
    )  # fmt: skip
    runner.offer(picture_of(1))
    runner.offer(picture_of(2))
    assert not detector.batches  # it would wait a minute for two more
    detector.go.release(10)
    runner.finish(30)
    assert seen == [1, 2]
    assert runner.error is None


async def test_batches_preprocessed_ahead_do_not_mix_their_pictures(tmp_path: Path) -> None:
    """Each picture's score is its brightness: one in a wrong buffer would have a wrong score."""
    write_seeing(tmp_path / "model.onnx")
    spec = {"width": 64, "height": 64, "scale": 1 / 255, "resize": "stretch"}
    changes = {"input": spec, "thresholds": {"score": 0.01}}
    detector = load(write_card(tmp_path, {"layout": "yolov8"}, **changes), batch=3)
    seen: list[tuple[int, float]] = []

    def report(samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        for sample, several in zip(samples, found, strict=True):
            seen.append((sample.pts, several[0].score))

    runner = BatchRunner(detector, report, OUTCOMES, batch=3, batch_s=0.001)
    for number in range(200):
        await wait_for(lambda: runner.waiting < 9, within_s=30, what="room")
        shown = np.full((64, 64, 3), 20 + number, np.uint8)
        runner.offer(SampledFrame(CAMERA, RUN, number, START_MS + number, shown, 1))
    runner.finish(30)
    assert [pts for pts, _ in seen] == list(range(200))
    assert all(score == pytest.approx((20 + pts) / 255, abs=0.002) for pts, score in seen)


async def test_a_model_that_fails_ends_the_threads_with_an_error() -> None:
    detector = Slow()
    runner = BatchRunner(detector, lambda *_: None, OUTCOMES, batch=4, batch_s=0)
    detector.go.release(10)
    runner.offer(SampledFrame(CAMERA, RUN, 0, 0, np.zeros((8, 8, 3), np.uint8), 1))
    await wait_for(lambda: runner.error, within_s=30, what="the error")
    assert isinstance(runner.error, ModelError)


async def test_the_model_runs_while_one_batch_is_pre_and_another_postprocessed() -> None:
    """
    preprocess   0 1 .   2      at most two that are not inferred: there are two buffers
    infer          0 .   1 2
    postprocess          0 .
    """
    detector, seen = Stepwise(), []
    runner = BatchRunner(
        detector,
        lambda samples, _: seen.extend(s.pts for s in samples),
        OUTCOMES,
        batch=1,
        batch_s=0,
    )
    for number in range(10):
        runner.offer(picture_of(number))
    await wait_for(lambda: detector.preprocessed == 2, within_s=30, what="the next batch")
    assert (detector.inferring, detector.postprocessing) == (1, 0)
    detector.may_infer.release()
    await wait_for(
        lambda: (detector.inferring, detector.postprocessing) == (2, 1),
        within_s=30,
        what="the second",
    )
    # Nothing is postprocessed yet: the model may run two more batches, then it waits.
    detector.may_infer.release(10)
    await wait_for(lambda: detector.inferring == 4, within_s=30, what="the bound")
    await wait_for(lambda: runner.busy_s > 0, within_s=30, what="the model to wait")
    assert (detector.inferring, detector.postprocessing, seen) == (4, 1, [])
    detector.may_postprocess.release(10)
    runner.finish(30)
    assert seen == list(range(10))
    assert runner.error is None


async def test_batches_inferred_before_an_error_are_reported() -> None:
    detector, seen = Stepwise(), []
    runner = BatchRunner(
        detector,
        lambda samples, _: seen.extend(s.pts for s in samples),
        OUTCOMES,
        batch=1,
        batch_s=0,
    )
    runner.offer(picture_of(0))
    runner.offer(picture_of(1))
    runner.offer(SampledFrame(CAMERA, RUN, 2, 0, np.zeros((8, 8, 3), np.uint8), 1))
    detector.may_infer.release(10)
    await wait_for(lambda: runner.error, within_s=30, what="the error")
    detector.may_postprocess.release(10)
    runner.finish(30)
    assert seen == [0, 1]
    assert isinstance(runner.error, ModelError)


async def test_reporting_that_fails_ends_it_without_blocking_the_model() -> None:
    detector = Stepwise()

    def report(samples: list[SampledFrame], found: list[list[DetectedObject]]) -> None:
        raise ConnectionError("no one listens")

    runner = BatchRunner(detector, report, OUTCOMES, batch=1, batch_s=0)
    for number in range(10):
        runner.offer(picture_of(number))
    detector.may_infer.release(20)
    detector.may_postprocess.release(20)
    await wait_for(lambda: runner.error, within_s=30, what="the error")
    runner.finish(30)
    assert isinstance(runner.error, ConnectionError)
