"""The batch size is what was measured to be cheaper, never what was hoped."""

import pytest

from inference.batch_size import measure_batch_size, sizes_up_to


@pytest.mark.parametrize(
    ("ms_by_rows", "best", "tried"),
    [
        pytest.param({1: 4.1, 2: 4.1}, 1, [1, 2], id="a CPU, where batches gain nothing"),
        pytest.param({1: 10, 2: 6, 4: 4, 8: 3.9}, 4, [1, 2, 4, 8], id="a gain of 2.5 % ends it"),
        pytest.param({1: 8, 2: 5, 4: 3, 8: 2, 16: 1.2}, 16, [1, 2, 4, 8, 16], id="a GPU"),
    ],
)
def test_the_best_size(ms_by_rows: dict[int, float], best: int, tried: list[int]) -> None:
    def measure_s(rows: int) -> float:
        return ms_by_rows[rows] * rows / 1_000

    found, measured = measure_batch_size(16, measure_s)
    assert found == best
    assert list(measured) == tried
    assert measured[best] == pytest.approx(ms_by_rows[best])


def test_the_largest_size_is_tried_too() -> None:
    assert sizes_up_to(1) == [1]
    assert sizes_up_to(6) == [1, 2, 4, 6]
    assert sizes_up_to(16) == [1, 2, 4, 8, 16]
