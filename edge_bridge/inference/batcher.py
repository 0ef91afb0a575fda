"""Frames into Detection events: at most 50 frames, or those of half a second, in one event.

    camera a   f    f    f|   f    f|
    camera b     f       f|  f      |     all at the same times, so that one request sends them

A frame waits a quarter of a second on average. A camera that is analysed once a second has one
event for each frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.events import Detection, DetectionFrame

MAX_FRAMES = 50
PERIOD_S = 0.5
"""At multiples of this time all batches end."""


@dataclass(slots=True)
class _PendingBatch:
    due_s: float
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
            batch = self._pending.setdefault((camera, run), _PendingBatch(_next_end_s(now_s)))
            batch.frames.append(frame)
            if len(batch.frames) >= MAX_FRAMES:
                events.append(self._flush((camera, run)))
        return events

    def event(self, camera: str, run: str, frames: Sequence[DetectionFrame]) -> Detection:
        """Return the event of these frames."""
        return Detection(
            camera=camera,
            run=run,
            model=self._model,
            model_version=self._model_version,
            frames=list(frames),
        )

    def due(self, now_s: float) -> list[Detection]:
        """Return the events whose period is over."""
        due = [key for key, one in self._pending.items() if now_s >= one.due_s]
        return [self._flush(key) for key in due]

    def flush(self) -> list[Detection]:
        """Return all that is left."""
        return [self._flush(key) for key in list(self._pending)]

    def _flush(self, key: tuple[str, str]) -> Detection:
        return self.event(*key, self._pending.pop(key).frames)


def seconds_until_end(now_s: float) -> float:
    """Return how long the current period lasts."""
    return _next_end_s(now_s) - now_s


def _next_end_s(now_s: float) -> float:
    return (now_s // PERIOD_S + 1) * PERIOD_S
