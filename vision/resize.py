"""Decoded frames to small images: scaling and colour conversion in one step.

    decoded, full size, usually YUV ─┬─► grey, for the motion gate
                                     └─► BGR, for the model

So no image of full size and full colour is made: it would cost more than many a model.
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
    """Scales the frames of one camera; for one thread."""

    def __init__(self) -> None:
        # Each keeps the tables that it has computed for its sizes.
        self._grey = VideoReformatter()
        self._bgr = VideoReformatter()

    def to_grey(self, frame: av.VideoFrame, width: int, height: int) -> GreyImage:
        """Return the brightness of a frame in `width` x `height` pixels, with its own data."""
        return _resize(self._grey, frame, width, height, "gray")

    def to_bgr(self, frame: av.VideoFrame, width: int, height: int) -> BgrImage:
        """Return a frame in `width` x `height` pixels, with its own data."""
        return _resize(self._bgr, frame, width, height, "bgr24")


def _resize(
    reformatter: VideoReformatter, frame: av.VideoFrame, width: int, height: int, pixel_format: str
) -> NDArray[Any]:
    # Area interpolation loses nothing that is smaller than a pixel; but it cannot enlarge.
    method = Interpolation.AREA if width < frame.width else Interpolation.BILINEAR
    # One thread: for images this small, more threads cost more than they give.
    scaled = reformatter.reformat(
        frame, width, height, pixel_format, interpolation=method, threads=1
    )
    pixels = scaled.to_ndarray()
    # Where nothing was to do, it is the decoder's own frame, which other frames refer to.
    return np.array(pixels) if scaled is frame else pixels
