"""One camera after the detector: tracking, and which of the objects are reported."""

from typing import Any

from edge_bridge.config.inference import StationaryConfig, TrackingConfig
from edge_bridge.inference.camera_pipeline import SampledFrame
from vision.detector import DetectedObject
from vision.stationary import StationaryFilter
from vision.tracking import TrackedBox, Tracker

EMPTY_EVERY_MS = 1_000
"""A picture without objects is reported this often: so "empty" differs from "not analysed"."""
MAX_OBJECTS = 1_000
"""Of one picture; the event cannot hold more."""


class CameraReport:
    """Tracks the objects of one camera, run by run, and makes the frames of its Detections."""

    def __init__(self, tracking: TrackingConfig, stationary: StationaryConfig) -> None:
        self._tracking = tracking
        self._stationary = stationary
        self._run: str | None = None
        self._tracker: Tracker
        self._stationary_filter: StationaryFilter
        self._empty_ms: int | None = None
        """When an empty picture was reported last; None: objects were seen since."""

    def frame(self, sample: SampledFrame, found: list[DetectedObject]) -> dict[str, Any] | None:
        """Return the frame of a Detection; None: nothing new to report."""
        if sample.run != self._run:
            self._start_run(sample.run)
        found = found[:MAX_OBJECTS]
        tracked = self._track(sample, found)
        objects = []
        for one, box in zip(found, tracked, strict=True):
            if box is None:
                objects.append({"label": one.label, "score": one.score, "box": one.box})
            elif not self._stationary.enabled or self._stationary_filter.should_report(
                box, sample.at_ms
            ):
                objects.append(
                    {"label": one.label, "score": one.score, "box": one.box, "track": box.track}
                )
        if found:
            # The first empty picture after objects is always reported.
            self._empty_ms = None
            if not objects:
                return None  # all of them are stationary: the picture is neither new nor empty
        elif not self._report_empty(sample.at_ms):
            return None
        return {"pts": sample.pts, "at_ms": sample.at_ms, "objects": objects}

    def _report_empty(self, at_ms: int) -> bool:
        """Return whether to report an empty picture now."""
        if self._empty_ms is not None and 0 <= at_ms - self._empty_ms < EMPTY_EVERY_MS:
            return False
        self._empty_ms = at_ms
        return True

    def _start_run(self, run: str) -> None:
        self._run = run
        self._tracker = Tracker(
            high_score=self._tracking.sure_score, lost_ms=self._tracking.lost_ms
        )
        self._stationary_filter = StationaryFilter(
            after_ms=self._stationary.after_ms, every_ms=self._stationary.every_ms
        )

    def _track(self, sample: SampledFrame, found: list[DetectedObject]) -> list[TrackedBox | None]:
        if not self._tracking.enabled:
            return [None] * len(found)
        return self._tracker.update(found, pts=sample.pts, at_ms=sample.at_ms, aspect=sample.aspect)
