"""Privacy masks: places that must not be seen are blackened before anything uses the picture."""

from collections.abc import Sequence

import cv2
import numpy as np

from vision.detector import BgrImage
from vision.motion import Polygon

_BORDER = 3
"""Pixels: the outline hides what it only touches."""


def black_out(picture: BgrImage, polygons: Sequence[Polygon]) -> None:
    """Blacken the places in `picture` itself; `polygons`: corners as fractions of the picture."""
    height, width = picture.shape[:2]
    for polygon in polygons:
        corners = np.rint(np.asarray(polygon, np.float64) * (width, height)).astype(np.int32)
        cv2.fillPoly(picture, [corners], (0, 0, 0))
        cv2.polylines(picture, [corners], True, (0, 0, 0), _BORDER)
