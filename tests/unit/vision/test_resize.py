"""From the decoded frame to a small image in one step: as good as with a large image between."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.card import InputSpec
from vision.hog import HogPeopleDetector
from vision.motion import MotionGate, small_size
from vision.preprocess import place
from vision.resize import FrameResizer

SEED = 11


def street(number: int, width: int = 1280, height: int = 720) -> np.ndarray:
    """Return a coloured ground with a bright block that moves (BGR)."""
    random = np.random.default_rng(SEED)
    rough = random.integers(60, 200, (height // 40, width // 40, 3)).astype(np.uint8)
    picture = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC))
    left = number * width // 40
    picture[height // 3 : height // 2, left : left + width // 12] = (40, 200, 250)
    return picture


def decoded(picture: np.ndarray, form: str = "yuv420p") -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
    return frame.reformat(format=form)


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    assert one.shape == other.shape
    return np.abs(one.astype(np.int64) - other.astype(np.int64))


@pytest.mark.parametrize("size", [(352, 352), (640, 360), (320, 180), (416, 234)])
@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv422p", "nv12", "yuv420p10le"])
def test_the_small_image_equals_the_large_one_resized(size: tuple[int, int], form: str) -> None:
    frame = decoded(street(3), form)
    large = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    expected = np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA))
    small = FrameResizer().to_bgr(frame, *size)
    assert small.flags.c_contiguous
    apart = differences(small, expected)
    assert apart.mean() < 3
    assert abs(small.astype(float).mean() - expected.mean()) < 1.5
    grey = FrameResizer().to_grey(frame, *size)
    of_colours = np.asarray(cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY))
    assert differences(grey, of_colours).mean() < 2


def test_black_and_white_are_0_and_255_whatever_range_the_camera_uses() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    for form in ("yuv420p", "yuvj420p"):
        grey = FrameResizer().to_grey(decoded(picture, form), 32, 32)
        assert (int(grey[16, 4]), int(grey[16, 28])) == pytest.approx((0, 255), abs=1)


def test_drawing_never_changes_the_decoders_frame() -> None:
    """A monochrome camera in exactly the size: nothing is scaled, but it is a copy."""
    frame = av.VideoFrame.from_ndarray(np.full((180, 320), 77, np.uint8), format="gray")
    resizer = FrameResizer()
    for _ in range(2):
        grey = resizer.to_grey(frame, 320, 180)
        grey[:] = 0
    assert (frame.to_ndarray() == 77).all()


def test_one_resizer_follows_a_camera_that_changes_its_size() -> None:
    resizer = FrameResizer()
    for width, height in ((1280, 720), (640, 480), (1280, 720), (160, 120)):
        frame = decoded(street(1, width, height))
        fresh = FrameResizer().to_bgr(frame, 352, 198)
        assert (resizer.to_bgr(frame, 352, 198) == fresh).all()


@given(
    st.tuples(st.integers(16, 4096), st.integers(16, 4096)),
    st.tuples(st.integers(16, 1280), st.integers(16, 1280)),
    st.sampled_from([("letterbox", "centre"), ("letterbox", "top-left"), ("stretch", "centre")]),
)
def test_a_picture_resized_before_has_the_same_placement(
    picture: tuple[int, int], target: tuple[int, int], how: tuple[str, str]
) -> None:
    spec = InputSpec.model_validate(
        {"width": target[0], "height": target[1], "resize": how[0], "align": how[1]}
    )
    at = place(spec, *picture)
    assert place(spec, at.width, at.height) == at


@pytest.mark.parametrize(
    ("picture", "expected"),
    [((768, 576), (768, 576)), ((1306, 10), (1306, 10)), ((2612, 1000), (1306, 500))],
)
def test_the_built_in_detector_takes_small_pictures_as_they_are(
    picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert HogPeopleDetector().input_size(*picture) == expected


def test_the_gate_opens_on_the_small_grey_image_as_on_the_large_one() -> None:
    """6 s still, a block that crosses for 2 s, 4 s still; five pictures a second."""
    large, small, resizer = MotionGate(), MotionGate(), FrameResizer()
    answers = []
    random = np.random.default_rng(SEED)
    for number in range(60):
        picture = street(number - 30 if 30 <= number < 40 else 0, 640, 360)
        noisy = np.clip(picture + random.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
        frame = decoded(noisy)
        at_ms = number * 200
        one = large.update(np.asarray(frame.to_ndarray(format="bgr24")), at_ms)
        other = small.update_grey(resizer.to_grey(frame, *small_size(640, 360)), at_ms)
        assert other.fraction == pytest.approx(one.fraction, abs=0.002)
        answers.append((one.open, other.open))
    assert [one for one, _ in answers] == [other for _, other in answers]
    assert {one for one, _ in answers} == {True, False}


def test_times_of_the_frame_do_not_change() -> None:
    frame = decoded(street(0))
    frame.pts, frame.time_base = 7, Fraction(1, 5)
    FrameResizer().to_bgr(frame, 64, 36)
    assert (frame.pts, frame.width, frame.height, frame.format.name) == (7, 1280, 720, "yuv420p")
