"""The built-in people detector on Debian's clip of a yard with pedestrians."""

from pathlib import Path

import av
import numpy as np
import pytest

from vision.hog import HogPeopleDetector, group_detections

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


def frames(*numbers: int) -> list[np.ndarray]:
    if not VTEST.exists():
        pytest.skip("opencv-doc is not installed")
    with av.open(str(VTEST)) as clip:
        return [
            frame.to_ndarray(format="bgr24")
            for number, frame in enumerate(clip.decode(video=0))
            if number in numbers
        ]


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    w = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    h = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(w, 0) * max(h, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


# People in three frames, measured by eye, in pixels of 768 x 576: x, y, w, h.
# Those half hidden or smaller than 60 pixels are left out.
UPRIGHT = {
    0: [(254, 218, 26, 92), (502, 156, 25, 78), (643, 228, 45, 96)],
    80: [(257, 174, 24, 72), (375, 180, 28, 80), (565, 190, 33, 95)],
    240: [(40, 177, 22, 70), (234, 156, 30, 76), (447, 250, 32, 104), (615, 198, 26, 80)],
}


@pytest.mark.parametrize("number", UPRIGHT)
def test_boxes_match_the_people(number: int) -> None:
    found = HogPeopleDetector().detect(frames(number))[0]
    assert {one.label for one in found} == {"person"}
    assert all(0.5 < one.score <= 1 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    for x, y, w, h in UPRIGHT[number]:
        person = (x / 768, y / 576, w / 768, h / 576)
        best = max(overlap(person, one.box) for one in found)
        assert best > 0.45, f"no person found at {x},{y}: {best:.2f}"


def test_people_are_found_throughout_the_clip() -> None:
    counts = [len(found) for found in HogPeopleDetector().detect(frames(*range(80, 780, 100)))]
    assert sum(counts) / len(counts) >= 4
    assert max(counts) <= 12


def test_an_empty_scene_has_no_person() -> None:
    grey = np.full((576, 768, 3), 120, np.uint8)
    noise = np.random.default_rng(3).integers(0, 255, (576, 768, 3)).astype(np.uint8)
    assert HogPeopleDetector().detect([grey, noise]) == [[], []]


@pytest.mark.parametrize("shape", [(8, 8), (40, 600), (600, 20)])
def test_a_picture_too_small_for_a_person_raises_nothing(shape: tuple[int, int]) -> None:
    assert HogPeopleDetector().detect([np.zeros((*shape, 3), np.uint8)]) == [[]]


def test_a_large_picture_gives_the_same_people() -> None:
    small = frames(240)[0]
    large = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)
    detector = HogPeopleDetector()
    of_small, of_large = (found for found in detector.detect([small, large]))
    assert len(of_large) >= len(of_small) - 2
    matched = sum(any(overlap(a.box, b.box) > 0.5 for b in of_small) for a in of_large)
    assert matched >= len(of_large) - 1


def test_grouping_needs_several_hits() -> None:
    """Three hits around one place make a person; a single strong hit elsewhere does not."""
    boxes = np.asarray(
        [[100, 100, 64, 128], [104, 100, 64, 128], [108, 96, 64, 128], [400, 100, 64, 128]],
        np.float64,
    )
    people = group_detections(boxes, np.asarray([1.0, 2.0, 1.0, 3.0]))
    assert len(people) == 1
    box, weight = people[0]
    assert box == pytest.approx([104, 99, 64, 128])
    assert weight == 2.0
    assert group_detections(np.zeros((0, 4)), np.zeros(0)) == []
