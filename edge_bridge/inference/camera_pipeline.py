"""One camera before the detector: decode, sample, motion gate, privacy masks."""

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
"""Width and height of a frame as decoded -> those that the detector wants."""


@dataclass(frozen=True, slots=True)
class SampledFrame:
    """A frame for the detector."""

    camera: str
    run: str
    pts: int
    at_ms: int
    picture: BgrImage
    """In the detector's size; privacy masks are black."""
    aspect: float
    """Width by height as the camera shows it."""


class CameraPipeline:
    """Decodes, samples, masks and gates one camera; counts what happened to each sampled frame.

    For one thread.
    """

    def __init__(
        self,
        camera: str,
        config: InferenceConfig,
        privacy: Sequence[Mask],
        outcomes: OutcomeCounts,
        input_size: InputSize,
    ) -> None:
        """`privacy`: places that must not be seen; `input_size`: the detector's."""
        self._camera = camera
        self._privacy = privacy
        self._outcomes = outcomes
        self._input_size = input_size
        self._resizer = FrameResizer()
        self._motion = config.motion
        self._keyframes_only = config.keyframes_only
        self._decoder = CameraDecoder(camera)
        self._sampler = FrameSampler()
        self._gate = MotionGate(
            start=self._motion.start,
            stop=self._motion.stop,
            hold_ms=self._motion.hold_ms,
            warmup_ms=self._motion.warmup_ms,
            masks=self._motion.masks_of(camera),
        )
        self._analysed_ms: int | None = None
        """When a frame was passed to the detector last."""
        self._broken = 0
        self.preparing_s = 0.0
        """How long preparing took so far."""

    def process(self, packet: EncodedPacket, rate: RateController) -> Iterator[SampledFrame]:
        """Yield the frames to analyse; raises MediaError for an unknown codec."""
        if self._keyframes_only and not packet.keyframe:
            return
        frames = self._decoder.decode(packet)
        if self._keyframes_only:
            # Nothing comes between keyframes, so the decoder has nothing to wait for.
            frames = itertools.chain(frames, self._decoder.flush())
        for decoded in frames:
            if (sample := self.sample(decoded, rate)) is not None:
                yield sample
        self._outcomes.add(self._camera, "broken", self._decoder.broken - self._broken)
        self._broken = self._decoder.broken

    def sample(self, decoded: DecodedFrame, rate: RateController) -> SampledFrame | None:
        """Return the frame if the detector is to analyse it."""
        if not self._sampler.should_sample(decoded.pts, rate.rate_fps):
            return None
        if rate.behind:
            self._outcomes.add(self._camera, "behind")
            return None
        rate.frame_sampled()
        started_s = time.monotonic()
        sample = self._prepare(decoded)
        took_s = time.monotonic() - started_s
        self.preparing_s += took_s
        rate.spent(preparing_s=took_s)
        return sample

    def _prepare(self, decoded: DecodedFrame) -> SampledFrame | None:
        frame = decoded.frame
        if self._motion.enabled:
            small = self._resizer.to_grey(frame, *small_size(frame.width, frame.height))
            black_out(small, self._privacy)
            moving = self._gate.update_grey(small, decoded.at_ms).open
            if not (moving or self._is_overdue(decoded.at_ms)):
                self._outcomes.add(self._camera, "still")
                return None
        self._analysed_ms = decoded.at_ms
        picture = self._resizer.to_bgr(frame, *self._input_size(frame.width, frame.height))
        black_out(picture, self._privacy)
        aspect = frame.width / frame.height
        return SampledFrame(self._camera, decoded.run, decoded.pts, decoded.at_ms, picture, aspect)

    def _is_overdue(self, at_ms: int) -> bool:
        """Return whether a frame must be analysed even without motion."""
        every_ms = self._motion.still_every_ms
        if not every_ms:
            return False
        since_ms = None if self._analysed_ms is None else at_ms - self._analysed_ms
        return since_ms is None or since_ms < 0 or since_ms >= every_ms
