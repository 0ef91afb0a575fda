"""The assignment problem: which rows and columns to pair, so that the pairs are most similar.

Rows are tracks and columns are boxes, or the other way round.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MAX_EXACT = 64
"""Rows and columns of one component for the exact method; a larger one is paired greedily."""


def assign(similarity: Floats, minimum: float) -> list[tuple[int, int]]:
    """Return pairs (row, column) that make the sum of `similarity` [R, C] largest.

    Each row and column is in one pair at most. No pair is less similar than `minimum` (> 0).
    """
    allowed = similarity >= minimum
    pairs = []
    for rows, columns in _components(allowed):
        value = np.where(allowed, similarity, 0.0)[np.ix_(rows, columns)]
        solve = _hungarian if max(value.shape) <= MAX_EXACT else _greedy
        chosen = ((rows[row], columns[column]) for row, column in solve(value))
        pairs += [(row, column) for row, column in chosen if allowed[row, column]]
    return sorted(pairs)


def _components(allowed: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return the connected components as (rows, columns): linked with each other and no others.

    The exact method is cubic in its size, so each component is solved alone.
    """
    components = []
    unseen = {int(row) for row in np.flatnonzero(allowed.any(axis=1))}
    while unseen:
        rows, columns = {min(unseen)}, set[int]()
        frontier = set(rows)
        while frontier:
            linked = np.flatnonzero(allowed[sorted(frontier)].any(axis=0))
            new = {int(column) for column in linked} - columns
            columns |= new
            linked = np.flatnonzero(allowed[:, sorted(new)].any(axis=1))
            frontier = {int(row) for row in linked} - rows
            rows |= frontier
        unseen -= rows
        components.append((sorted(rows), sorted(columns)))
    return components


def _greedy(value: Floats) -> list[tuple[int, int]]:
    """Take the most similar pair, then the most similar of the rest, and so on."""
    pairs, rows, columns = [], set[int](), set[int]()
    for flat_index in np.argsort(-value, axis=None, kind="stable"):
        row, column = divmod(int(flat_index), value.shape[1])
        if row not in rows and column not in columns and value[row, column] > 0:
            rows.add(row)
            columns.add(column)
            pairs.append((row, column))
    return pairs


def _hungarian(value: Floats) -> list[tuple[int, int]]:
    """Solve it exactly: the Hungarian method by shortest augmenting paths (Jonker-Volgenant)."""
    if value.shape[0] > value.shape[1]:
        return [(row, column) for column, row in _hungarian(value.T)]
    cost = value.max() - value
    rows, columns = cost.shape
    # Index 0 means "none"; rows and columns count from 1.
    row_potential, column_potential = np.zeros(rows + 1), np.zeros(columns + 1)
    row_of = np.zeros(columns + 1, np.intp)  # the row that each column is paired with
    for row in range(1, rows + 1):
        # Find the cheapest path from this row to a free column (Dijkstra on reduced costs) ...
        row_of[0], column = row, 0
        came_from = np.zeros(columns + 1, np.intp)
        slack, visited = np.full(columns + 1, np.inf), np.zeros(columns + 1, np.bool_)
        while True:
            visited[column] = True
            current = row_of[column]
            reduced = cost[current - 1] - row_potential[current] - column_potential[1:]
            shorter = ~visited[1:] & (reduced < slack[1:])
            slack[1:][shorter] = reduced[shorter]
            came_from[1:][shorter] = column
            column = int(np.argmin(np.where(visited, np.inf, slack)))
            step = slack[column]
            row_potential[row_of[visited]] += step
            column_potential[visited] -= step
            slack[~visited] -= step
            if not row_of[column]:
                break
        # ... and exchange the pairs along it.
        while column:
            row_of[column], column = row_of[came_from[column]], int(came_from[column])
    return [
        (int(row_of[column]) - 1, column - 1) for column in range(1, columns + 1) if row_of[column]
    ]
