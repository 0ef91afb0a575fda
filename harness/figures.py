"""What measurements are condensed to."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of all are not above (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def spread(name: str, values: Sequence[float]) -> dict[str, float | int]:
    """Return count, p50 and p99 of `values` under names that begin with `name`."""
    if not values:
        return {f"{name}_count": 0}
    return {
        f"{name}_count": len(values),
        f"{name}_p50": round(percentile(values, 50), 1),
        f"{name}_p99": round(percentile(values, 99), 1),
    }
