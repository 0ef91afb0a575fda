"""Runs a detector over one chunk: fragments in, detections out. Blocking: call it in a thread.

The result follows from the chunk alone, so a repeat after a crash gives the same. Memory holds
only the pictures of one model call.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from domain.events import Detection, DetectionFrame, FoundObject
from media.fragment_decoder import FragmentDecoder
from media.frames import FragmentClock
from vision.detector import BgrImage, DetectedObject, Detector
from vision.motion import MotionGate

EMPTY_EVERY_MS = 1_000
"""How often pictures without objects are reported: so absence differs from silence."""
STILL_EVERY_MS = 5_000
"""With the motion gate: how often a picture without motion is analysed."""
MAX_OBJECTS = 1_000
"""Objects of one picture in an event."""
MAX_FRAMES = 50
"""Frames of one event."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """A picture that is analysed."""

    pts: int
    at_ms: int
    image: BgrImage


class ChunkDetector:
    """Analyses one chunk. Fragments are given in the order of their seqs."""

    def __init__(
        self,
        detector: Detector,
        *,
        within: tuple[int, int],
        rate_mfps: int | None,
        gated: bool,
    ) -> None:
        """Analyse pictures taken in `within` (from, to; UTC ms), chosen as `media.frames` says."""
        self._detector = detector
        self._from_ms, self._to_ms = within
        self._rate_mfps = rate_mfps
        self._gate = MotionGate() if gated else None
        self._analysed_ms: int | None = None
        self._empty_ms: int | None = None
        self._decoder = FragmentDecoder()
        self._batch: list[_Shot] = []
        self.pictures = 0
        self.objects = 0
        self.frames: list[DetectionFrame] = []
        """The frames to send."""

    def add_fragment(self, data: bytes, clock: FragmentClock) -> None:
        """Analyse a fragment. Raises MediaError (maybe after some pictures) or ModelError."""
        for picture in self._decoder.frames(data, clock, self._rate_mfps):
            if not self._from_ms <= picture.at_ms < self._to_ms:
                continue
            image = np.asarray(picture.frame.to_ndarray(format="bgr24"), np.uint8)
            shot = _Shot(picture.pts, picture.at_ms, image)
            if self._should_analyse(shot):
                self._batch.append(shot)
                if len(self._batch) >= self._detector.batch:
                    self.flush()

    def flush(self) -> None:
        """Analyse the pictures that still wait for a full batch. Raises ModelError."""
        shots = self._batch
        self._batch = []
        if not shots:
            return
        found = self._detector.detect([shot.image for shot in shots])
        self.pictures += len(shots)
        for shot, each in zip(shots, found, strict=True):
            self._add_frame(shot, each)

    def _should_analyse(self, shot: _Shot) -> bool:
        if self._gate is not None and not self._gate.update(shot.image, shot.at_ms).open:
            since_ms = None if self._analysed_ms is None else shot.at_ms - self._analysed_ms
            if since_ms is not None and 0 <= since_ms < STILL_EVERY_MS:
                return False
        self._analysed_ms = shot.at_ms
        return True

    def _add_frame(self, shot: _Shot, found: Sequence[DetectedObject]) -> None:
        if found:
            self._empty_ms = None  # report the first empty picture after objects
        else:
            recent = self._empty_ms is not None and (
                0 <= shot.at_ms - self._empty_ms < EMPTY_EVERY_MS
            )
            if recent:
                return
            self._empty_ms = shot.at_ms
        objects = [
            FoundObject(label=each.label, score=each.score, box=each.box)
            for each in found[:MAX_OBJECTS]
        ]
        self.objects += len(objects)
        self.frames.append(DetectionFrame(pts=shot.pts, at_ms=shot.at_ms, objects=objects))


def events(
    camera: str, run: str, version: tuple[str, str], replay: int, frames: Sequence[DetectionFrame]
) -> Iterator[Detection]:
    """Yield the frames as detection events of a replay."""
    model, number = version
    for at in range(0, len(frames), MAX_FRAMES):
        yield Detection(
            camera=camera,
            run=run,
            model=model,
            model_version=number,
            frames=list(frames[at : at + MAX_FRAMES]),
            replay=replay,
        )
