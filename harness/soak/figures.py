"""What the soak bench makes of its measurements."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import VigilError
from harness.usage import Usage


@dataclass(frozen=True, slots=True)
class Look:
    """What the edge used at one time."""

    at_s: float
    """Since the warm-up ended."""
    edge: Usage
    inference: Usage
    """Of all the edge's children."""
    children: frozenset[int]


def figures(looks: Sequence[Look]) -> dict[str, Any]:
    """Return what a series of looks comes to; raises VigilError where it is too short."""
    if len(looks) < 8:
        raise VigilError("Too short to say anything: give it more minutes.")
    seconds = looks[-1].at_s - looks[0].at_s
    used_s = [look.edge.cpu_s + look.inference.cpu_s for look in (looks[0], looks[-1])]
    return {
        "edge": _course(looks, lambda look: look.edge),
        "inference": _course(looks, lambda look: look.inference),
        "inference_processes": len(frozenset().union(*(look.children for look in looks))),
        "cpu_cores": round((used_s[1] - used_s[0]) / max(seconds, 1), 3),
    }


def _course(looks: Sequence[Look], whose: Callable[[Look], Usage]) -> dict[str, Any]:
    late = looks[len(looks) // 4 :]
    memory = [whose(look).memory_mib for look in late]
    slope = statistics.linear_regression([look.at_s for look in late], memory).slope
    return {
        "memory_mib": _ends(memory),
        "growth_mib_per_hour": round(slope * 3_600, 2),
        "threads": _ends([whose(look).threads for look in late]),
        "files": _ends([whose(look).files for look in late]),
    }


def _ends(values: Sequence[float]) -> dict[str, float]:
    """Return the median of the first tenth and of the last, the least and the most."""
    tenth = max(len(values) // 10, 3)
    return {
        "start": round(statistics.median(values[:tenth]), 1),
        "end": round(statistics.median(values[-tenth:]), 1),
        "least": round(min(values), 1),
        "most": round(max(values), 1),
    }
