"""Who belongs to whom: the pairs of rows and columns that are most alike altogether."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MAX_EXACT = 64
"""Rows and columns of one crowd; in a larger one the likest pairs are taken one after another."""


def assign(similarity: Floats, least: float) -> list[tuple[int, int]]:
    """Return pairs (row, column) that make the sum of `likeness` [R, C] largest.

    Each row and column stands in one pair at most; no pair is less alike than `least` (> 0).
    """
    allowed = similarity >= least
    pairs = []
    for rows, columns in _components(allowed):
        value = np.where(allowed, similarity, 0.0)[np.ix_(rows, columns)]
        choose = _hungarian if max(value.shape) <= MAX_EXACT else _greedy
        chosen = ((rows[row], columns[column]) for row, column in choose(value))
        pairs += [(row, column) for row, column in chosen if allowed[row, column]]
    return sorted(pairs)


def _components(allowed: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return (rows, columns) that are linked with each other and with nobody else."""
    components = []
    unseen = {int(row) for row in np.flatnonzero(allowed.any(axis=1))}
    while unseen:
        rows, columns = {min(unseen)}, set[int]()
        edge = set(rows)
        while edge:
            new = {int(c) for c in np.flatnonzero(allowed[sorted(edge)].any(axis=0))} - columns
            columns |= new
            edge = {int(r) for r in np.flatnonzero(allowed[:, sorted(new)].any(axis=1))} - rows
            rows |= edge
        unseen -= rows
        components.append((sorted(rows), sorted(columns)))
    return components


def _greedy(value: Floats) -> list[tuple[int, int]]:
    pairs, rows, columns = [], set[int](), set[int]()
    for at in np.argsort(-value, axis=None, kind="stable"):
        row, column = divmod(int(at), value.shape[1])
        if row not in rows and column not in columns and value[row, column] > 0:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    return pairs


def _hungarian(value: Floats) -> list[tuple[int, int]]:
    """Solve the assignment problem by shortest augmenting paths (the Hungarian method)."""
    if value.shape[0] > value.shape[1]:
        return [(row, column) for column, row in _hungarian(value.T)]
    cost = value.max() - value
    rows, columns = cost.shape
    # Place 0 of each stands for nobody; rows and columns count from 1.
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.intp)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        came_from = np.zeros(columns + 1, np.intp)
        slack, visited = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.bool_)
        while True:
            visited[column] = True
            at = owner[column]
            reduced = cost[at - 1] - of_row[at] - of_column[1:]
            shorter = ~visited[1:] & (reduced < slack[1:])
            slack[1:][shorter] = reduced[shorter]
            came_from[1:][shorter] = column
            column = int(np.argmin(np.where(visited, np.inf, slack)))
            step = slack[column]
            of_row[owner[visited]] += step
            of_column[visited] -= step
            slack[~visited] -= step
            if not owner[column]:
                break
        while column:
            owner[column], column = owner[came_from[column]], int(came_from[column])
    return [
        (int(owner[column]) - 1, column - 1) for column in range(1, columns + 1) if owner[column]
    ]
