"""Merging intervals of footage.

tolerance 150:  [0, 4000) [4100, 8000) [9000, 10000)  ->  [0, 8000) [9000, 10000)
"""

import re
from collections.abc import Iterable

TOLERANCE_MS = 150
"""Shorter holes do not count as gaps: the player shows the last frame a little longer."""

Interval = tuple[int, int]
_RANGE = re.compile(r"\[(\d+),(\d+)\)")


def merge(intervals: Iterable[Interval], tolerance_ms: int = TOLERANCE_MS) -> list[Interval]:
    """Return half-open [from, to) intervals, UTC ms, ascending, merged across small holes."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1] + tolerance_ms:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > start:
            merged.append((start, end))
    return merged


def multirange(intervals: Iterable[Interval]) -> str:
    """Return half-open intervals as the text of a PostgreSQL multirange."""
    return "{" + ",".join(f"[{start},{end})" for start, end in intervals) + "}"


def parse_multirange(text: str) -> tuple[Interval, ...]:
    """Return the half-open intervals of a PostgreSQL multirange of integers, given as text."""
    return tuple((int(first), int(end)) for first, end in _RANGE.findall(text))
