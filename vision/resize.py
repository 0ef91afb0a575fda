"""Decoded pictures into small ones: scaling and conversion in one step.

decoded, full size, usually YUV ─┬─► grey, as the motion gate takes it
                                 └─► blue green red, as the model takes it
A picture of full size and of all colours, which would cost more than many a model, is never made.
"""

from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vision.detector import BgrImage

GreyImage = NDArray[np.uint8]
"""Height x width; 0 is black and 255 white, whatever range the camera uses."""


class FrameResizer:
    """Scales the pictures of one camera; for one thread."""

    def __init__(self) -> None:
        # Each keeps what it has computed for its sizes.
        self._grey, self._colour = VideoReformatter(), VideoReformatter()

    def grey(self, frame: av.VideoFrame, width: int, height: int) -> GreyImage:
        """Return the brightness of a picture in `width` x `height` pixels, as an own copy."""
        return _scaled(self._grey, frame, width, height, "gray")

    def colour(self, frame: av.VideoFrame, width: int, height: int) -> BgrImage:
        """Return a picture in `width` x `height` pixels, as an own copy."""
        return _scaled(self._colour, frame, width, height, "bgr24")


def _scaled(
    scaler: VideoReformatter, frame: av.VideoFrame, width: int, height: int, form: str
) -> NDArray[Any]:
    # Means of areas lose nothing that is smaller than a pixel; they cannot enlarge.
    how = Interpolation.AREA if width < frame.width else Interpolation.BILINEAR
    # One thread: for pictures this small, more of them cost more than they give.
    scaled = scaler.reformat(frame, width, height, form, interpolation=how, threads=1)
    pixels = scaled.to_ndarray()
    # Where nothing was to be done it is the decoder's own picture, which others refer to.
    return np.array(pixels) if scaled is frame else pixels
