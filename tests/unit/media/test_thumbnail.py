import cv2
import numpy as np
import pytest

from domain.errors import MediaError
from media.keyframes import index_video
from media.thumbnail import HEAD_BYTES, assemble, jpeg, ranges_for
from tests.unit.media.video import STEP, clip

KEYFRAMES = [(0, 564, 1_000), (90_000, 5_000, 2_000), (180_000, 9_000, 2_000)]


@pytest.mark.parametrize(
    ("at_ms", "keyframe", "ranges", "why"),
    [
        (50_000, 0, ((0, 1_563),), "its very start: head and picture are one range"),
        (50_999, 0, ((0, 1_563),), "just before the second"),
        (51_000, 1, ((0, HEAD_BYTES - 1), (5_000, 6_999)), "the second: head, then picture"),
        (59_000, 2, ((0, HEAD_BYTES - 1), (9_000, 10_999)), "after the last"),
        (49_000, 0, ((0, 1_563),), "before the fragment: its first"),
    ],
)
def test_only_the_bytes_needed(at_ms, keyframe, ranges, why) -> None:
    cut = ranges_for(at_ms, start_ms=50_000, start_pts=0, size_bytes=20_000, keyframes=KEYFRAMES)
    assert (cut.keyframe, cut.ranges) == (keyframe, ranges), why


@pytest.mark.parametrize(
    "keyframes",
    [None, [], [(0, 564, 0)], [(0, 19_000, 2_000)]],
    ids=["unknown", "none", "size unknown", "beyond the fragment"],
)
def test_all_of_it_where_keyframes_are_of_no_use(keyframes) -> None:
    cut = ranges_for(0, start_ms=0, start_pts=0, size_bytes=20_000, keyframes=keyframes)
    assert cut.ranges == ((0, 19_999),)


def brightness(picture: bytes) -> float:
    return float(np.mean(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)))


@pytest.mark.parametrize(("at_ms", "frame"), [(0, 0), (950, 0), (1_000, 10), (1_900, 10)])
def test_the_picture_from_its_bytes_alone(at_ms: int, frame: int) -> None:
    data = clip(20, keyframe_every=10)
    found = index_video(data)
    keyframes = [(each.pts, each.offset, each.size) for each in found.keyframes]
    assert len(keyframes) == 2
    cut = ranges_for(
        at_ms,
        start_ms=0,
        start_pts=found.first_pts,
        size_bytes=len(data),
        keyframes=keyframes,
    )
    read = assemble([data[first : last + 1] for first, last in cut.ranges])
    assert len(read) < len(data) / 2
    # x264 keeps a flat picture's level within a few steps.
    assert abs(brightness(jpeg(read, 160)) - frame * STEP) < STEP / 2


def test_a_head_without_tables() -> None:
    with pytest.raises(MediaError, match="no PAT"):
        assemble([(b"\x47\x01\x00\x10" + bytes(184)) * 10, b""])


def test_size() -> None:
    data = clip(1, width=640, height=480)
    small = cv2.imdecode(np.frombuffer(jpeg(data, 100), np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (75, 100, 3)
    same = cv2.imdecode(np.frombuffer(jpeg(data, 1_280), np.uint8), cv2.IMREAD_COLOR)
    assert same.shape == (480, 640, 3), "never larger than it is"


@pytest.mark.parametrize(
    ("width", "height", "sar", "shown"),
    [
        (704, 576, "16/11", (180, 320)),
        (960, 1080, "2/1", (180, 320)),
        (720, 480, "8/9", (240, 320)),
        (640, 360, "100/1", (180, 320)),
    ],
)
def test_pixels_that_are_not_square(
    width: int, height: int, sar: str, shown: tuple[int, int]
) -> None:
    picture = jpeg(clip(1, width=width, height=height, sar=sar), 320)
    assert cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[:2] == shown


def test_what_is_drawn_is_in_the_picture() -> None:
    def whiten_left(picture: np.ndarray) -> None:
        picture[:, :320] = 255

    data = clip(1, width=640, height=480)
    drawn = cv2.imdecode(np.frombuffer(jpeg(data, 100, whiten_left), np.uint8), cv2.IMREAD_COLOR)
    assert drawn[:, :45].min() > 235
    assert drawn[:, 55:].max() < 235


@pytest.mark.parametrize("data", [b"", b"\x47" + bytes(187), b"nonsense" * 400, None])
def test_bytes_without_a_picture(data: bytes | None) -> None:
    with pytest.raises(MediaError):
        jpeg(clip(5)[:1_128] if data is None else data, 320)
