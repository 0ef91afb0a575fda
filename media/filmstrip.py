"""Many small frames in one JPEG: a grid of equal cells. Blocking: call it in a thread."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from domain.errors import MediaError

QUALITY = 75
MAX_CELL_HEIGHT = 720


@dataclass(frozen=True, slots=True)
class Filmstrip:
    """The grid, row by row. Sizes in pixels."""

    jpeg: bytes
    columns: int
    rows: int
    cell_width: int
    cell_height: int


def filmstrip(frames: Sequence[bytes | None], cell_width: int, columns: int) -> Filmstrip:
    """Return frames (JPEG) as one; None: the cell is black.

    The first picture decides how high a cell is; others are fitted into theirs, with black around
    them. Raises MediaError where none can be read.
    """
    images = [None if each is None else _decoded(each) for each in frames]
    first = next((image for image in images if image is not None), None)
    if first is None:
        raise MediaError("No picture can be shown.")
    cell_height = min(MAX_CELL_HEIGHT, max(1, round(cell_width * first.shape[0] / first.shape[1])))
    rows = -(-len(images) // columns)
    grid = np.zeros((rows * cell_height, columns * cell_width, 3), np.uint8)
    for number, image in enumerate(images):
        if image is None:
            continue
        scale = min(cell_width / image.shape[1], cell_height / image.shape[0])
        width = min(cell_width, max(1, round(image.shape[1] * scale)))
        height = min(cell_height, max(1, round(image.shape[0] * scale)))
        top = number // columns * cell_height + (cell_height - height) // 2
        left = number % columns * cell_width + (cell_width - width) // 2
        grid[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA
        )
    done, encoded = cv2.imencode(".jpg", grid, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise MediaError("The frames cannot be written as JPEG.")
    return Filmstrip(encoded.tobytes(), columns, rows, cell_width, cell_height)


def _decoded(data: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None":
    if not data:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)
