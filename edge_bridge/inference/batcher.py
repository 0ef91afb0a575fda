"""Frames into Detection events: at most 50 frames, or those of a second, in one event."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.events import Detection, DetectionFrame

MAX_FRAMES = 50
MAX_WAIT_S = 1.0


@dataclass(slots=True)
class _PendingBatch:
    since_s: float
    frames: list[DetectionFrame] = field(default_factory=list)


class Batcher:
    """Collects the frames of each camera and run; times are passed in."""

    def __init__(self, model: str, model_version: str) -> None:
        self._model = model
        self._model_version = model_version
        self._pending: dict[tuple[str, str], _PendingBatch] = {}

    def add(
        self, camera: str, run: str, frames: Sequence[DetectionFrame], now_s: float
    ) -> list[Detection]:
        """Add frames; return the events that are full, and those of the camera's earlier runs."""
        earlier = [key for key in self._pending if key[0] == camera and key[1] != run]
        events = [self._flush(key) for key in earlier]
        for frame in frames:
            batch = self._pending.setdefault((camera, run), _PendingBatch(now_s))
            batch.frames.append(frame)
            if len(batch.frames) >= MAX_FRAMES:
                events.append(self._flush((camera, run)))
        return events

    def due(self, now_s: float) -> list[Detection]:
        """Return the events whose first frame has waited long enough."""
        due = [key for key, one in self._pending.items() if now_s - one.since_s >= MAX_WAIT_S]
        return [self._flush(key) for key in due]

    def flush(self) -> list[Detection]:
        """Return all that is left."""
        return [self._flush(key) for key in list(self._pending)]

    def _flush(self, key: tuple[str, str]) -> Detection:
        camera, run = key
        return Detection(
            camera=camera,
            run=run,
            model=self._model,
            model_version=self._model_version,
            frames=self._pending.pop(key).frames,
        )
