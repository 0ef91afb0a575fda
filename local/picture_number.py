"""A number in the upper edge of a picture, in blocks that survive encoding and scaling.

24 blocks from left to right, white for a one. First come the 16 bits of the number, the most
significant one first. Then comes a check: the complement of the low 8 bits XOR the high 8 bits.
"""

import numpy as np
import numpy.typing as npt

BLOCKS = 24
EDGE_SHARE = 12
"""The blocks fill this part of the height: one twelfth."""
_CHECK_BITS = 8
_BLACK, _WHITE = 25, 225


def draw_number(picture: npt.NDArray[np.uint8], number: int) -> None:
    """Write `number` (0..65535) into a picture (height, width, channels), in place."""
    height, width = picture.shape[:2]
    value = number << _CHECK_BITS | ~(number ^ number >> _CHECK_BITS) & 0xFF
    bits = np.array([value >> bit & 1 for bit in reversed(range(BLOCKS))], dtype=bool)
    row = np.where(bits, _WHITE, _BLACK).astype(np.uint8)[np.arange(width) * BLOCKS // width]
    picture[: height // EDGE_SHARE] = row[None, :, None]


def read_number(picture: npt.NDArray[np.uint8]) -> int | None:
    """Return the number in a picture (height, width, channels); None where it is damaged."""
    height, width = picture.shape[:2]
    row = picture[height // EDGE_SHARE // 2]
    value = 0
    for block in range(BLOCKS):
        value = value << 1 | int(row[(2 * block + 1) * width // (2 * BLOCKS)].mean() > 125)
    number, check = value >> _CHECK_BITS, value & 0xFF
    return number if check == ~(number ^ number >> _CHECK_BITS) & 0xFF else None
