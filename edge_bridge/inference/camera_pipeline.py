"""One camera before the detector: which of its pictures are worth the detector's time."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edge_bridge.config.inference import InferenceConfig, Mask
from edge_bridge.inference.decode import CameraDecoder, DecodedFrame, EncodedPacket
from edge_bridge.inference.outcome_counts import OutcomeCounts
from edge_bridge.inference.rate_control import FrameSampler, RateController
from vision.detector import BgrImage
from vision.motion import MotionGate, small_size
from vision.privacy import black_out
from vision.resize import FrameResizer

InputSize = Callable[[int, int], tuple[int, int]]
"""Width and height of a picture as decoded -> those in which the detector wants it."""


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """A picture that the detector is to look at."""

    camera: str
    run: str
    pts: int
    at_ms: int
    picture: BgrImage
    """In the detector's size, without what privacy masks hide."""
    aspect: float
    """Width by height as the camera shows it."""


class CameraPipeline:
    """Decodes, samples, masks and gates one camera; counts what became of each sampled picture.

    For one thread.
    """

    def __init__(
        self,
        camera: str,
        config: InferenceConfig,
        privacy: Sequence[Mask],
        tally: OutcomeCounts,
        size: InputSize,
    ) -> None:
        """`privacy`: what nobody may look at; `size`: what the detector makes of a picture's."""
        self._camera, self._privacy, self._tally = camera, privacy, tally
        self._size, self._shrinker = size, FrameResizer()
        self._motion, self._keyframes_only = config.motion, config.keyframes_only
        self._decoder = CameraDecoder(camera)
        self._sampler = FrameSampler()
        self._gate = MotionGate(
            start=self._motion.start,
            stop=self._motion.stop,
            hold_ms=self._motion.hold_ms,
            warmup_ms=self._motion.warmup_ms,
            masks=self._motion.masks_of(camera),
        )
        self._looked_ms: int | None = None
        self._broken = 0
        self.preparing_s = 0.0
        """How long preparing took so far."""

    def take(self, packet: EncodedPacket, pace: RateController) -> Iterator[SampledFrame]:
        """Yield the pictures to look at; raises MediaError for a codec nobody knows."""
        if self._keyframes_only and not packet.keyframe:
            return
        pictures = self._decoder.decode(packet)
        if self._keyframes_only:
            # Nothing comes between keyframes that a decoder would have to wait for.
            pictures = itertools.chain(pictures, self._decoder.flush())
        for decoded in pictures:
            if (sample := self.see(decoded, pace)) is not None:
                yield sample
        self._tally.add(self._camera, "broken", self._decoder.broken - self._broken)
        self._broken = self._decoder.broken

    def see(self, decoded: DecodedFrame, pace: RateController) -> SampledFrame | None:
        """Return the picture if it is to be looked at."""
        if not self._sampler.wants(decoded.pts, pace.rate_fps):
            return None
        if pace.behind:
            self._tally.add(self._camera, "behind")
            return None
        pace.sampled()
        began_s = time.monotonic()
        sample = self._prepared(decoded)
        took_s = time.monotonic() - began_s
        self.preparing_s += took_s
        pace.spent(preparing_s=took_s)
        return sample

    def _prepared(self, decoded: DecodedFrame) -> SampledFrame | None:
        frame = decoded.frame
        if self._motion.enabled:
            small = self._shrinker.grey(frame, *small_size(frame.width, frame.height))
            black_out(small, self._privacy)
            moving = self._gate.see(small, decoded.at_ms).open
            if not (moving or self._long_unseen(decoded.at_ms)):
                self._tally.add(self._camera, "still")
                return None
        self._looked_ms = decoded.at_ms
        picture = self._shrinker.colour(frame, *self._size(frame.width, frame.height))
        black_out(picture, self._privacy)
        aspect = frame.width / frame.height
        return SampledFrame(self._camera, decoded.run, decoded.pts, decoded.at_ms, picture, aspect)

    def _long_unseen(self, at_ms: int) -> bool:
        every_ms = self._motion.still_every_ms
        if not every_ms:
            return False
        since = None if self._looked_ms is None else at_ms - self._looked_ms
        return since is None or since < 0 or since >= every_ms
