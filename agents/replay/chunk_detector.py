"""Looking at one chunk again: fragments in, frames of detections out. Blocking: for a thread.

What is found follows from the chunk alone: done again after a crash, it is the same. Of pictures,
only those of one call of the model are in memory.
"""

from collections.abc import Iterator, Sequence

from domain.events import Detection, DetectionFrame, FoundObject
from media.frames import DecodedFrame, FragmentClock, pictures
from vision.detector import DetectedObject, Detector
from vision.motion import MotionGate

EMPTY_EVERY_MS = 1_000
"""Pictures without objects are told of this often: absence can be told from silence."""
STILL_EVERY_MS = 5_000
"""With the motion gate: without motion, one picture is looked at this often."""
MOST_OBJECTS = 1_000
"""Of one picture; the event takes no more."""
MOST_FRAMES = 50
"""Of one event."""


class ChunkDetector:
    """One chunk's look; fragments are given in the order of their seqs."""

    def __init__(
        self,
        detector: Detector,
        *,
        within: tuple[int, int],
        rate_mfps: int | None,
        gated: bool,
    ) -> None:
        """Look at pictures taken in `within` (from, to; UTC ms), as `media.frames` says."""
        self._detector = detector
        self._from_ms, self._to_ms = within
        self._rate_mfps = rate_mfps
        self._gate = MotionGate() if gated else None
        self._looked_ms: int | None = None
        self._empty_ms: int | None = None
        self._waiting: list[DecodedFrame] = []
        self.pictures = 0
        self.objects = 0
        self.frames: list[DetectionFrame] = []
        """What is to be told."""

    def fragment(self, data: bytes, clock: FragmentClock) -> None:
        """Look at a fragment; raises MediaError (maybe after some pictures), ModelError."""
        for shot in pictures(data, clock, self._rate_mfps):
            if self._from_ms <= shot.at_ms < self._to_ms and self._worth(shot):
                self._waiting.append(shot)
                if len(self._waiting) >= self._detector.batch:
                    self.rest()

    def rest(self) -> None:
        """Look at the pictures that still wait; at the chunk's end. Raises ModelError."""
        shots, self._waiting = self._waiting, []
        if not shots:
            return
        found = self._detector.detect([shot.picture for shot in shots])
        self.pictures += len(shots)
        for shot, each in zip(shots, found, strict=True):
            self._tell(shot, each)

    def _worth(self, shot: DecodedFrame) -> bool:
        if self._gate is not None and not self._gate.update(shot.picture, shot.at_ms).open:
            since_ms = None if self._looked_ms is None else shot.at_ms - self._looked_ms
            if since_ms is not None and 0 <= since_ms < STILL_EVERY_MS:
                return False
        self._looked_ms = shot.at_ms
        return True

    def _tell(self, shot: DecodedFrame, found: Sequence[DetectedObject]) -> None:
        if found:
            self._empty_ms = None  # the first empty picture after objects is news
        else:
            recent = self._empty_ms is not None and (
                0 <= shot.at_ms - self._empty_ms < EMPTY_EVERY_MS
            )
            if recent:
                return
            self._empty_ms = shot.at_ms
        objects = [
            FoundObject(label=each.label, score=each.score, box=each.box)
            for each in found[:MOST_OBJECTS]
        ]
        self.objects += len(objects)
        self.frames.append(DetectionFrame(pts=shot.pts, at_ms=shot.at_ms, objects=objects))


def events(
    camera: str, run: str, version: tuple[str, str], replay: int, frames: Sequence[DetectionFrame]
) -> Iterator[Detection]:
    """Yield the frames as events of a replay."""
    model, number = version
    for at in range(0, len(frames), MOST_FRAMES):
        yield Detection(
            camera=camera,
            run=run,
            model=model,
            model_version=number,
            frames=list(frames[at : at + MOST_FRAMES]),
            replay=replay,
        )
