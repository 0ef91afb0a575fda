"""Frames into Detection events: at most 50 frames or a second together."""

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
    """Gathers the frames of each camera and run; times are passed in."""

    def __init__(self, model: str, model_version: str) -> None:
        self._model, self._version = model, model_version
        self._open: dict[tuple[str, str], _PendingBatch] = {}

    def add(
        self, camera: str, run: str, frames: Sequence[DetectionFrame], now_s: float
    ) -> list[Detection]:
        """Take frames in; return the events that became full or whose run has been left."""
        done = [key for key in self._open if key[0] == camera and key[1] != run]
        events = [self._close(key) for key in done]
        for frame in frames:
            one = self._open.setdefault((camera, run), _PendingBatch(now_s))
            one.frames.append(frame)
            if len(one.frames) >= MAX_FRAMES:
                events.append(self._close((camera, run)))
        return events

    def due(self, now_s: float) -> list[Detection]:
        """Return the events whose first frame has waited long enough."""
        done = [key for key, one in self._open.items() if now_s - one.since_s >= MAX_WAIT_S]
        return [self._close(key) for key in done]

    def rest(self) -> list[Detection]:
        """Return all that is left."""
        return [self._close(key) for key in list(self._open)]

    def _close(self, key: tuple[str, str]) -> Detection:
        camera, run = key
        return Detection(
            camera=camera,
            run=run,
            model=self._model,
            model_version=self._version,
            frames=self._open.pop(key).frames,
        )
