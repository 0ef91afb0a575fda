"""The statistic by which `vigil bench login` compares two kinds of attempts."""

import random
from itertools import product

from bench.login import mann_whitney


def test_the_share_is_that_of_all_pairs() -> None:
    draw = random.Random(5)
    first = [draw.randrange(20) for _ in range(40)]
    second = [draw.randrange(20) for _ in range(30)]
    pairs = [0.5 if a == b else float(a > b) for a, b in product(first, second)]
    share, _ = mann_whitney(first, second)
    assert abs(share - sum(pairs) / len(pairs)) < 1e-12


def test_alike_times_do_not_differ_and_a_millisecond_of_70_is() -> None:
    draw = random.Random(7)

    def times(mean_ms: float) -> list[float]:
        return [draw.gauss(mean_ms, 3) for _ in range(400)]

    share, p_value = mann_whitney(times(70), times(70))
    assert 0.45 < share < 0.55
    assert p_value > 0.01
    share, p_value = mann_whitney(times(71), times(70))
    assert share > 0.55
    assert p_value < 0.001
