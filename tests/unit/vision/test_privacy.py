"""Privacy masks: what is masked is black, the rest does not change."""

import numpy as np
import pytest

from vision.privacy import black_out

SQUARE = [(0.25, 0.5), (0.75, 0.5), (0.75, 1.0), (0.25, 1.0)]


@pytest.mark.parametrize(("width", "height"), [(64, 48), (1920, 1080), (7, 5)])
def test_the_mask_is_black_and_the_rest_does_not_change(width: int, height: int) -> None:
    rng = np.random.default_rng(1)
    before = rng.integers(1, 255, (height, width, 3)).astype(np.uint8)
    picture = before.copy()
    black_out(picture, [SQUARE])
    left, right = width // 4, -(-width * 3 // 4)
    assert not picture[-(-height // 2) :, left : right + 1].any()
    rest = np.ones((height, width), bool)
    rest[max(0, height // 2 - 3) :, max(0, left - 3) : right + 4] = False
    assert (picture[rest] == before[rest]).all()


def test_several_masks_and_none() -> None:
    picture = np.full((100, 100, 3), 200, np.uint8)
    black_out(picture, [])
    assert (picture == 200).all()
    black_out(picture, [[(0, 0), (0.2, 0), (0, 0.2)], [(1, 1), (0.8, 1), (1, 0.8)]])
    assert not picture[2, 2].any()
    assert not picture[97, 97].any()
    assert (picture[30:70, 30:70] == 200).all()
