"""What a series of measurements comes to."""

import pytest

from domain.errors import VigilError
from harness.soak.figures import UsageSample, figures
from harness.usage import Usage


def used(cpu_s: float, memory_mib: float, threads: int, files: int) -> Usage:
    return Usage(cpu_s, memory_mib, threads, files, processes=1, rss_mib=memory_mib)


def samples(seconds: int) -> list[UsageSample]:
    """An edge that grows by 1 MiB an hour after its start, and an inference process that leaks."""
    return [
        UsageSample(
            float(s),
            used(s / 10, 100 + (0 if s < 20 else 60 + s / 3_600), 7, 9 + s // 50),
            used(s / 5, 500 + s, 3, 5),
            frozenset({11 if s < 50 else 12}),
        )
        for s in range(0, seconds, 2)
    ]


def test_edge_and_inference_are_kept_apart() -> None:
    found = figures(samples(100))
    assert found["edge"]["growth_mib_per_hour"] == pytest.approx(1, abs=0.01)
    assert found["inference"]["growth_mib_per_hour"] == pytest.approx(3_600, abs=1)
    assert found["edge"]["threads"] == {"start": 7, "end": 7, "least": 7, "most": 7}
    assert found["edge"]["files"] == {"start": 9, "end": 10, "least": 9, "most": 10}
    assert found["inference"]["memory_mib"]["start"] < found["inference"]["memory_mib"]["end"]
    assert (found["inference_processes"], found["cpu_cores"]) == (2, 0.3)


def test_too_short_a_run_says_nothing() -> None:
    with pytest.raises(VigilError, match="Too short"):
        figures(samples(10))
