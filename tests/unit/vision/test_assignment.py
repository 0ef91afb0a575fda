"""Pairs: never worse than every other way of pairing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

from vision import assignment as module
from vision.assignment import assign

LEAST = 0.2
TABLES = shapes.arrays(
    np.float64, st.tuples(st.integers(0, 5), st.integers(0, 5)), elements=st.floats(0, 1)
)


def best_sum(likeness: np.ndarray) -> float:
    """Try all ways."""
    if likeness.shape[0] > likeness.shape[1]:
        likeness = likeness.T
    rows, columns = likeness.shape
    worth = np.where(likeness >= LEAST, likeness, 0)
    return max(
        sum(float(worth[row, column]) for row, column in enumerate(order))
        for order in itertools.permutations(range(columns), rows)
    )


@given(TABLES)
def test_no_other_pairing_is_worth_more(likeness: np.ndarray) -> None:
    pairs = assign(likeness, LEAST)
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    assert all(likeness[pair] >= LEAST for pair in pairs)
    assert sum(float(likeness[pair]) for pair in pairs) == pytest.approx(best_sum(likeness))


def test_the_likest_pair_gives_way_where_both_then_find_a_partner() -> None:
    likeness = np.array([[0.9, 0.8], [0.8, 0.0]])
    assert assign(likeness, LEAST) == [(0, 1), (1, 0)]


@given(TABLES)
def test_a_crowd_too_large_is_paired_likest_first(likeness: np.ndarray) -> None:
    most, module.MAX_EXACT = module.MAX_EXACT, 0
    try:
        pairs = assign(likeness, LEAST)
    finally:
        module.MAX_EXACT = most
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    assert all(likeness[pair] >= LEAST for pair in pairs)
    # Nobody is left alone beside somebody free.
    free = np.argwhere(likeness >= LEAST)
    rows, columns = {r for r, _ in pairs}, {c for _, c in pairs}
    assert all(row in rows or column in columns for row, column in free)
    assert 2 * sum(float(likeness[pair]) for pair in pairs) >= best_sum(likeness) - 1e-9
