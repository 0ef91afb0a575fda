"""One camera before and after the detector: what is analysed, and what is reported."""

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from domain.events import DetectionFrame
from edge_bridge.config.inference import (
    InferenceConfig,
    Mask,
    StationaryConfig,
    TrackingConfig,
)
from edge_bridge.inference.camera_pipeline import CameraPipeline, SampledFrame
from edge_bridge.inference.camera_report import CameraReport
from edge_bridge.inference.decode import EncodedPacket
from edge_bridge.inference.outcome_counts import OutcomeCounts
from edge_bridge.inference.rate_control import RateController
from tests.footage import write_clip
from tests.unit.edge_bridge.encoded_frames import (
    CAMERA,
    OTHER_RUN,
    RUN,
    START_MS,
    at_ms_of,
    read_clip,
)
from vision.detector import DetectedObject

OUTCOMES = OutcomeCounts()


def unscaled(width: int, height: int) -> tuple[int, int]:
    return width, height


def pipeline_of(
    config: InferenceConfig | None = None, privacy: Sequence[Mask] = ()
) -> CameraPipeline:
    return CameraPipeline(CAMERA, config or InferenceConfig(), privacy, OUTCOMES, unscaled)


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    OUTCOMES.take()


def counted() -> dict[str, int]:
    return OUTCOMES.take().get(CAMERA, {})


def test_it_samples_and_counts(tmp_path: Path) -> None:
    """4 s at 25 fps, sampled 5 times a second; every picture differs, so all is motion."""
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 100, b_frames=2))
    pipeline, rate = pipeline_of(), RateController(5)
    samples = [sample for packet in clip.encoded() for sample in pipeline.process(packet, rate)]
    assert [sample.pts for sample in samples] == [i * 18_000 for i in range(len(samples))]
    assert len(samples) >= 19
    assert all(sample.at_ms == at_ms_of(sample.pts) for sample in samples)
    assert samples[0].picture.shape == (128, 192, 3)
    assert pipeline.preparing_s > 0


def test_with_keyframes_only_nothing_else_is_decoded(tmp_path: Path) -> None:
    """One keyframe a second: so five samples a second are not possible."""
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 100, gop=25, b_frames=2))
    pipeline = pipeline_of(InferenceConfig(keyframes_only=True))
    samples = [s for packet in clip.encoded() for s in pipeline.process(packet, RateController(5))]
    shown = [pts for _, pts, keyframe in clip.packets if keyframe]
    assert [sample.pts for sample in samples] == shown
    assert len(shown) == 4


def test_masks_are_black_before_any_analysis(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 50))
    left_half = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    bare = [s for p in clip.encoded() for s in pipeline_of().process(p, RateController(5))]
    hidden = [
        s
        for p in clip.encoded()
        for s in pipeline_of(privacy=[left_half]).process(p, RateController(5))
    ]
    assert hidden
    assert all(not sample.picture[:, :96].any() for sample in hidden)
    for with_mask, without in zip(hidden, bare, strict=True):
        assert (with_mask.picture[:, 99:] == without.picture[:, 99:]).all()
        assert without.picture[:, :96].any()


LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]


@pytest.fixture(scope="module")
def restless_left(tmp_path_factory: pytest.TempPathFactory) -> list[EncodedPacket]:
    """10 s, five pictures a second: all that changes is the left half."""
    path = tmp_path_factory.mktemp("left") / "left.mkv"
    dice = np.random.default_rng(3)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 384, 256, "yuv420p"
        for number in range(50):
            shown = np.full((256, 384, 3), 120, np.uint8)
            shown[:, :192] = dice.integers(0, 255, (256, 1, 3))
            picture = av.VideoFrame.from_ndarray(shown, "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 5)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    return list(read_clip(path).encoded())


def analysed(
    packets: list[EncodedPacket], privacy: Sequence[Mask] = (), **motion: object
) -> list[SampledFrame]:
    """Return what is analysed, only on motion, at 70 x 90 pixels."""
    config = InferenceConfig.model_validate({"motion": {"still_every_ms": 0, **motion}})
    pipeline = CameraPipeline(CAMERA, config, privacy, OUTCOMES, lambda width, height: (70, 90))
    rate = RateController(5)
    return [sample for packet in packets for sample in pipeline.process(packet, rate)]


WARMING_UP = range(14, 19)
"""Pictures of 3 s, in which the gate is open."""


def test_masks_stay_black_at_the_models_size_and_show_no_motion(
    restless_left: list[EncodedPacket],
) -> None:
    assert len(analysed(restless_left)) >= 48
    hidden = analysed(restless_left, [LEFT_HALF])
    assert len(hidden) in WARMING_UP
    for sample in hidden:
        assert sample.picture.shape == (90, 70, 3)
        assert sample.aspect == 1.5
        assert not sample.picture[:, :36].any()
        assert (sample.picture[:, 38:] > 100).all()


def test_motion_masks_belong_to_one_camera_and_hide_nothing(
    restless_left: list[EncodedPacket],
) -> None:
    masked = analysed(restless_left, masks={CAMERA: [LEFT_HALF]})
    assert len(masked) in WARMING_UP
    assert any(sample.picture[:, :34].mean() > 50 for sample in masked)
    assert len(analysed(restless_left, masks={"acme/north/gate": [LEFT_HALF]})) >= 48


def test_behind_it_only_decodes(tmp_path: Path) -> None:
    clip = read_clip(write_clip(tmp_path / "clip.mkv", 50))
    pipeline, rate = pipeline_of(), RateController(5)
    rate.packet_arrived(CAMERA, 10)
    assert [s for packet in clip.encoded() for s in pipeline.process(packet, rate)] == []
    assert counted()["behind"] >= 6


def test_without_motion_it_analyses_a_frame_now_and_then(tmp_path: Path) -> None:
    """One still picture for 40 s: 3 s of warming up, then once in 5 s."""
    path = tmp_path / "still.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5"})
        video.width, video.height, video.pix_fmt = 192, 128, "yuv420p"
        for number in range(200):
            picture = av.VideoFrame.from_ndarray(np.full((128, 192, 3), 90, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 5)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    pipeline, rate = pipeline_of(), RateController(5)
    times = [
        s.at_ms - START_MS for p in read_clip(path).encoded() for s in pipeline.process(p, rate)
    ]
    late = [at for at in times if at > 3_500]
    assert len(times) - len(late) >= 14
    assert 6 <= len(late) <= 8
    assert all(4_800 <= b - a <= 5_400 for a, b in itertools.pairwise(late))
    assert counted()["still"] > 150


# --- the report

PICTURE = np.zeros((8, 8, 3), np.uint8)
PERSON = DetectedObject("person", 0.9, (0.1, 0.2, 0.3, 0.4))


def reported(
    report: CameraReport, at_ms: int, found: list[DetectedObject], run: str = RUN
) -> list[str | None] | None:
    """Return the tracks of the reported objects; None: nothing is reported."""
    sample = SampledFrame(CAMERA, run, at_ms * 90, START_MS + at_ms, PICTURE, 1.0)
    frame = report.frame(sample, found)
    if frame is None:
        return None
    assert (frame["pts"], frame["at_ms"]) == (sample.pts, sample.at_ms)
    return [found.track for found in DetectionFrame.model_validate(frame).objects]


def test_objects_are_always_reported_and_empty_frames_once_a_second() -> None:
    report = CameraReport(TrackingConfig(enabled=False), StationaryConfig())

    def is_reported(at_ms: int, found: list[DetectedObject]) -> bool:
        return reported(report, at_ms, found) is not None

    #        objects  0    200  400 │ none 600   800    1000   1600 │ objects  1800 │ none 2000
    assert [is_reported(at, [PERSON]) for at in (0, 200, 400)] == [True] * 3
    assert [is_reported(at, []) for at in (600, 800, 1000, 1600)] == [True, False, False, True]
    assert is_reported(1_800, [PERSON])
    assert is_reported(2_000, [])
    assert reported(report, 2_200, [PERSON]) == [None]


def test_detections_carry_their_track_until_the_run_ends() -> None:
    report = CameraReport(TrackingConfig(), StationaryConfig(enabled=False))
    first = [reported(report, at, [PERSON]) for at in range(0, 2_000, 200)]
    assert first == [["0-0"]] * 10
    again = [reported(report, at, [PERSON], OTHER_RUN) for at in range(3_000, 4_000, 200)]
    assert again == [[f"{270_000:x}-0"]] * 5


def test_a_frame_of_only_stationary_objects_is_neither_new_nor_empty() -> None:
    """
    s        0 1 2 3 4 5      13          20 21
    parked   ■ ■ ■ ■ · · ···  ■  · · · ·        gone: reported as empty at once
    passing                       ■ (16)
    """
    parked = DetectedObject("car", 0.9, (0.5, 0.5, 0.3, 0.3))
    passing = DetectedObject("person", 0.9, (0.1, 0.1, 0.1, 0.2))
    report = CameraReport(TrackingConfig(), StationaryConfig(after_ms=3_000, every_ms=10_000))
    frames = {}
    for s in range(20):
        frame = reported(report, s * 1_000, [parked, passing] if s == 16 else [parked])
        if frame is not None:
            frames[s] = frame
    parked_name = "0-0"
    assert {s: names for s, names in frames.items() if s != 16} == {
        s: [parked_name] for s in (0, 1, 2, 3, 13)
    }
    assert len(frames[16]) == 1
    assert frames[16] != [parked_name]
    assert reported(report, 20_000, []) == []
