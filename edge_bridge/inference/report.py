"""One camera behind the detector: what of the found objects is worth telling."""

from typing import Any

from edge_bridge.config.inference import StationaryConfig, TrackingConfig
from edge_bridge.inference.camera_pipeline import SampledFrame
from vision.detector import DetectedObject
from vision.stationary import StationaryFilter
from vision.tracking import TrackedBox, Tracker

EMPTY_EVERY_MS = 1_000
"""Pictures without objects are reported this often, so that absence can be told from silence."""
MAX_OBJECTS = 1_000
"""Of one picture; the event takes no more."""


class CameraReport:
    """Follows the objects of one camera, run by run, and writes the frames of its Detections."""

    def __init__(self, tracking: TrackingConfig, stationary: StationaryConfig) -> None:
        self._tracking, self._stationary = tracking, stationary
        self._run: str | None = None
        self._tracker: Tracker
        self._resting: StationaryFilter
        self._empty_ms: int | None = None

    def frame(self, sample: SampledFrame, found: list[DetectedObject]) -> dict[str, Any] | None:
        """Return the frame of a Detection, or None for one more without news."""
        if sample.run != self._run:
            self._begin(sample.run)
        found = found[:MAX_OBJECTS]
        tracked = self._tracked(sample, found)
        objects = []
        for one, known in zip(found, tracked, strict=True):
            if known is None:
                objects.append({"label": one.label, "score": one.score, "box": one.box})
            elif not self._stationary.enabled or self._resting.is_news(known, sample.at_ms):
                objects.append(
                    {"label": one.label, "score": one.score, "box": one.box, "track": known.track}
                )
        if found:
            # The first empty picture after objects is news.
            self._empty_ms = None
            if not objects:
                return None  # all of them stand still: neither news nor an empty picture
        elif not self._is_time(sample.at_ms):
            return None
        return {"pts": sample.pts, "at_ms": sample.at_ms, "objects": objects}

    def _is_time(self, at_ms: int) -> bool:
        """Whether an empty picture is to be told."""
        if self._empty_ms is not None and 0 <= at_ms - self._empty_ms < EMPTY_EVERY_MS:
            return False
        self._empty_ms = at_ms
        return True

    def _begin(self, run: str) -> None:
        self._run = run
        self._tracker = Tracker(sure=self._tracking.sure_score, lost_ms=self._tracking.lost_ms)
        self._resting = StationaryFilter(
            after_ms=self._stationary.after_ms, every_ms=self._stationary.every_ms
        )

    def _tracked(
        self, sample: SampledFrame, found: list[DetectedObject]
    ) -> list[TrackedBox | None]:
        if not self._tracking.enabled:
            return [None] * len(found)
        return self._tracker.update(found, pts=sample.pts, at_ms=sample.at_ms, aspect=sample.aspect)
