"""What happened to each camera's sampled frames; all threads of the worker count here."""

import threading
from collections import Counter, defaultdict


class OutcomeCounts:
    """Counts since they were taken last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, camera: str, outcome: str, count: int = 1) -> None:
        """Count `count` frames of a camera; metrics.py lists the outcomes."""
        if count:
            with self._lock:
                self._counts[camera][outcome] += count

    def take(self) -> dict[str, dict[str, int]]:
        """Return camera -> outcome -> count, and start again from zero."""
        with self._lock:
            taken = self._counts
            self._counts = defaultdict(Counter)
        return {camera: dict(counts) for camera, counts in taken.items()}
