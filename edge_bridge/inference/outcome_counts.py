"""How many of each camera's pictures came to what; counted by both threads of the worker."""

import threading
from collections import Counter, defaultdict


class OutcomeCounts:
    """Counts since it was last taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, camera: str, outcome: str, count: int = 1) -> None:
        """Count `count` pictures of a camera; outcomes stand in metrics.py."""
        if count:
            with self._lock:
                self._counts[camera][outcome] += count

    def take(self) -> dict[str, dict[str, int]]:
        """Return camera -> outcome -> count, and begin anew."""
        with self._lock:
            taken, self._counts = self._counts, defaultdict(Counter)
        return {camera: dict(counts) for camera, counts in taken.items()}
