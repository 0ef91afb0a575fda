"""What the soak bench makes of its measurements."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import VigilError
from harness.usage import Usage


@dataclass(frozen=True, slots=True)
class UsageSample:
    """What the edge used at one time."""

    at_s: float
    """Since the warm-up ended."""
    edge: Usage
    inference: Usage
    """Of all the edge's children."""
    children: frozenset[int]


def figures(samples: Sequence[UsageSample]) -> dict[str, Any]:
    """Return what a series of samples comes to; raises VigilError where it is too short."""
    if len(samples) < 8:
        raise VigilError("Too short to say anything: give it more minutes.")
    seconds = samples[-1].at_s - samples[0].at_s
    used_s = [sample.edge.cpu_s + sample.inference.cpu_s for sample in (samples[0], samples[-1])]
    return {
        "edge": _course(samples, lambda sample: sample.edge),
        "inference": _course(samples, lambda sample: sample.inference),
        "inference_processes": len(frozenset().union(*(sample.children for sample in samples))),
        "cpu_cores": round((used_s[1] - used_s[0]) / max(seconds, 1), 3),
    }


def _course(
    samples: Sequence[UsageSample], whose: Callable[[UsageSample], Usage]
) -> dict[str, Any]:
    late = samples[len(samples) // 4 :]
    memory = [whose(sample).memory_mib for sample in late]
    slope = statistics.linear_regression([sample.at_s for sample in late], memory).slope
    return {
        "memory_mib": _ends(memory),
        "growth_mib_per_hour": round(slope * 3_600, 2),
        "threads": _ends([whose(sample).threads for sample in late]),
        "files": _ends([whose(sample).files for sample in late]),
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
