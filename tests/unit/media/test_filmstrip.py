"""A grid of pictures: cells in order, others' shapes fitted in, unreadable ones black."""

import cv2
import numpy as np
import pytest

from domain.errors import MediaError
from media.filmstrip import filmstrip


def picture(width: int, height: int, grey: int) -> bytes:
    image = np.full((height, width, 3), grey, np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_cells_are_equal_and_in_order() -> None:
    strip = filmstrip(
        [picture(64, 36, 80), None, picture(36, 64, 240), b"nonsense"], cell_width=64, columns=3
    )
    assert (strip.columns, strip.rows, strip.cell_width, strip.cell_height) == (3, 2, 64, 36)
    image = cv2.imdecode(np.frombuffer(strip.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (72, 192)
    assert abs(int(image[18, 32]) - 80) < 8
    assert int(image[18, 96]) < 8
    assert abs(int(image[18, 160]) - 240) < 8, "the middle of the upright picture"
    assert int(image[18, 132]) < 8, "black next to it"
    assert int(image[54, 32]) < 8


def test_without_any_picture_there_is_none() -> None:
    for frames in ([None, None], [b""], [b"x"]):
        with pytest.raises(MediaError):
            filmstrip(frames, cell_width=16, columns=2)


def test_a_tall_picture_does_not_make_a_huge_grid() -> None:
    strip = filmstrip([picture(2, 1_000, 100)] * 60, cell_width=320, columns=10)
    assert strip.cell_height == 720
