"""Pairs: no other way of pairing is better."""

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


def best_sum(similarity: np.ndarray) -> float:
    """Try all ways of pairing."""
    if similarity.shape[0] > similarity.shape[1]:
        similarity = similarity.T
    rows, columns = similarity.shape
    value = np.where(similarity >= LEAST, similarity, 0)
    return max(
        sum(float(value[row, column]) for row, column in enumerate(order))
        for order in itertools.permutations(range(columns), rows)
    )


@given(TABLES)
def test_no_other_pairing_has_a_larger_sum(similarity: np.ndarray) -> None:
    pairs = assign(similarity, LEAST)
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    assert all(similarity[pair] >= LEAST for pair in pairs)
    assert sum(float(similarity[pair]) for pair in pairs) == pytest.approx(best_sum(similarity))


def test_the_most_similar_pair_is_split_where_the_sum_grows() -> None:
    similarity = np.array([[0.9, 0.8], [0.8, 0.0]])
    assert assign(similarity, LEAST) == [(0, 1), (1, 0)]


@given(TABLES)
def test_a_component_too_large_is_paired_greedily(similarity: np.ndarray) -> None:
    saved, module.MAX_EXACT = module.MAX_EXACT, 0
    try:
        pairs = assign(similarity, LEAST)
    finally:
        module.MAX_EXACT = saved
    assert len({row for row, _ in pairs}) == len(pairs) == len({column for _, column in pairs})
    assert all(similarity[pair] >= LEAST for pair in pairs)
    # No row and column that could pair are both left without a partner.
    free = np.argwhere(similarity >= LEAST)
    rows, columns = {r for r, _ in pairs}, {c for _, c in pairs}
    assert all(row in rows or column in columns for row, column in free)
    assert 2 * sum(float(similarity[pair]) for pair in pairs) >= best_sum(similarity) - 1e-9
