"""Numbers in pictures: read back, also from a smaller picture; a damaged one is not a number."""

import cv2
import numpy as np
import pytest

from local.picture_number import draw_number, read_number


@pytest.mark.parametrize("number", [0, 1, 794, 43_690, 65_535])
def test_a_number_is_read_back(number: int) -> None:
    picture = np.full((576, 768, 3), 90, np.uint8)
    draw_number(picture, number)
    assert read_number(picture) == number
    assert read_number(np.asarray(cv2.resize(picture, (384, 288)))) == number


def test_a_picture_without_a_number_has_none() -> None:
    assert read_number(np.full((576, 768, 3), 90, np.uint8)) is None
