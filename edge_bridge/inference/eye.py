"""One camera inside the worker: which of its pictures are worth the detector's time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_bridge.inference.config import MotionConfig
from edge_bridge.inference.decode import CameraDecoder, Decoded, Encoded
from edge_bridge.inference.pace import Pace, Sampler
from vision.detector import Found, Picture
from vision.motion import MotionGate

EMPTY_EVERY_MS = 1_000
"""Pictures without objects are reported this often, so that absence can be told from silence."""
MOST_OBJECTS = 1_000
"""Of one picture; the event takes no more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture that the detector is to look at."""

    camera: str
    run: str
    pts: int
    at_ms: int
    picture: Picture


class CameraEye:
    """Decodes, samples and gates one camera; counts what became of each sampled picture."""

    def __init__(self, camera: str, motion: MotionConfig) -> None:
        self._camera, self._motion = camera, motion
        self._decoder = CameraDecoder(camera)
        self._sampler = Sampler()
        self._gate = MotionGate(
            start=motion.start,
            stop=motion.stop,
            hold_ms=motion.hold_ms,
            warmup_ms=motion.warmup_ms,
            masks=motion.masks_of(camera),
        )
        self._looked_ms: int | None = None
        self._empty_ms: int | None = None
        self._broken = 0
        self.outcomes: Counter[str] = Counter()

    def take(self, packet: Encoded, pace: Pace) -> Iterator[Sample]:
        """Yield the pictures to look at; raises MediaError for a codec nobody knows."""
        for decoded in self._decoder.decode(packet):
            if self._sampler.wants(decoded.pts, pace.rate_fps):
                if pace.behind:
                    self.outcomes["behind"] += 1
                    continue
                pace.sampled()
                if (sample := self._gated(decoded)) is not None:
                    yield sample
        self.outcomes["broken"] += self._decoder.broken - self._broken
        self._broken = self._decoder.broken

    def report(self, sample: Sample, found: list[Found]) -> dict[str, Any] | None:
        """Return the frame of a Detection, or None for one more empty picture."""
        self.outcomes["looked"] += 1
        if not found:
            recent = self._empty_ms is not None and (
                0 <= sample.at_ms - self._empty_ms < EMPTY_EVERY_MS
            )
            if recent:
                return None
            self._empty_ms = sample.at_ms
        else:
            # The first empty picture after objects is news.
            self._empty_ms = None
        objects = [
            {"label": one.label, "score": one.score, "box": one.box} for one in found[:MOST_OBJECTS]
        ]
        return {"pts": sample.pts, "at_ms": sample.at_ms, "objects": objects}

    def _gated(self, decoded: Decoded) -> Sample | None:
        picture = np.asarray(decoded.frame.to_ndarray(format="bgr24"), np.uint8)
        if self._motion.enabled:
            moving = self._gate.look(picture, decoded.at_ms).open
            if not (moving or self._long_unseen(decoded.at_ms)):
                self.outcomes["still"] += 1
                return None
        self._looked_ms = decoded.at_ms
        return Sample(self._camera, decoded.run, decoded.pts, decoded.at_ms, picture)

    def _long_unseen(self, at_ms: int) -> bool:
        every_ms = self._motion.still_every_ms
        if not every_ms:
            return False
        since = None if self._looked_ms is None else at_ms - self._looked_ms
        return since is None or since < 0 or since >= every_ms
