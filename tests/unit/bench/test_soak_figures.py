"""What a series of measurements comes to."""

import pytest

from bench.soak import figures
from bench.usage import Usage
from domain.errors import VigilError


def test_growth_is_the_slope_of_the_late_part() -> None:
    series = [(float(s), Usage(s / 10, 100 + (50 if s < 20 else 60 + s / 3_600), 7, 9, 2))
              for s in range(0, 100, 2)]  # fmt: skip
    said = figures(series)
    assert said["growth_mib_per_hour"] == pytest.approx(1, abs=0.01)
    assert (said["threads"], said["files"], said["cpu_cores"]) == ([7, 7], [9, 9], 0.1)


def test_too_short_a_run_says_nothing() -> None:
    with pytest.raises(VigilError, match="Too short"):
        figures([(0.0, Usage(0, 1, 1, 1, 1))])
