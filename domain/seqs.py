"""Sets of seqs, kept as ranges: small however many seqs they hold.

{0,1,2,5,6}  ->  ((0, 2), (5, 6))
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class SeqRanges:
    """An immutable set of whole numbers as inclusive ranges, ascending and never touching."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """Take ranges in any order, overlapping or touching."""
        merged: list[Range] = []
        for first, last in sorted(ranges):
            if last < first:
                raise ValueError(f"range {first}..{last} runs backwards")
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        self.ranges: tuple[Range, ...] = tuple(merged)

    @classmethod
    def of(cls, seqs: Iterable[int]) -> "SeqRanges":
        """Make the set of single seqs."""
        made = cls()
        ranges: list[Range] = []
        for seq in sorted(seqs):
            if ranges and seq <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], seq)
            else:
                ranges.append((seq, seq))
        made.ranges = tuple(ranges)
        return made

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self.ranges, (seq, 1 << 62)) - 1
        return at >= 0 and self.ranges[at][0] <= seq <= self.ranges[at][1]

    def __iter__(self) -> Iterator[int]:
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeqRanges) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"SeqRanges({list(self.ranges)})"

    def __or__(self, other: "SeqRanges") -> "SeqRanges":
        if not other.ranges:
            return self
        return SeqRanges(self.ranges + other.ranges) if self.ranges else other

    def add(self, seq: int) -> "SeqRanges":
        """Return the set with one seq more."""
        return self if seq in self else SeqRanges((*self.ranges, (seq, seq)))

    def missing(self, first: int, last: int) -> tuple[Range, ...]:
        """Return the ranges within first..last (inclusive) that are not in the set."""
        holes: list[Range] = []
        expected = first
        for low, high in self.ranges:
            if high < expected:
                continue
            if low > last:
                break
            if low > expected:
                holes.append((expected, low - 1))
            expected = high + 1
        if expected <= last:
            holes.append((expected, last))
        return tuple(holes)

    def below(self, seq: int) -> int | None:
        """Return the greatest member below `seq`, or None."""
        best = None
        for low, high in self.ranges:
            if low >= seq:
                break
            best = min(high, seq - 1)
        return best

    def above(self, seq: int) -> int | None:
        """Return the least member above `seq`, or None."""
        for low, high in self.ranges:
            if high > seq:
                return max(low, seq + 1)
        return None

    def within(self, first: int, last: int) -> "SeqRanges":
        """Return the part of the set within first..last."""
        return SeqRanges(
            (max(low, first), min(high, last))
            for low, high in self.ranges
            if high >= first and low <= last
        )
