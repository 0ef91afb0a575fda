"""Sets of seqs, kept as ranges: small however many seqs they hold.

{0,1,2,5,6}  ->  ((0, 2), (5, 6))
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class SeqRanges:
    """An immutable set of whole numbers, as inclusive ranges: ascending, with gaps between."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """Make the set from ranges in any order; they may overlap or touch."""
        merged: list[Range] = []
        for first, last in sorted(ranges):
            if last < first:
                raise ValueError(f"range {first}..{last} is backwards")
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
        at = self._at(seq)
        return at >= 0 and seq <= self.ranges[at][1]

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
        """Return the set with one more seq."""
        ranges = self.ranges
        at = self._at(seq)
        before = ranges[at] if at >= 0 else (-2, -2)
        if before[1] >= seq:
            return self
        low = high = seq
        end = at + 1
        if before[1] == seq - 1:
            low = before[0]
            at -= 1
        if end < len(ranges) and ranges[end][0] == seq + 1:
            high = ranges[end][1]
            end += 1
        made = SeqRanges()
        made.ranges = (*ranges[: at + 1], (low, high), *ranges[end:])
        return made

    def without(self, first: int, last: int) -> "SeqRanges":
        """Return the set without first..last."""
        if last < first:
            return self
        made = SeqRanges()
        end = self.ranges[-1][1] if self.ranges else 0
        made.ranges = (*self.within(0, first - 1).ranges, *self.within(last + 1, end).ranges)
        return made

    def bounded(self, most: int) -> "SeqRanges":
        """Return the set in at most `most` ranges: the oldest become one, holes included."""
        over = len(self.ranges) - most
        if over <= 0:
            return self
        made = SeqRanges()
        made.ranges = ((self.ranges[0][0], self.ranges[over][1]), *self.ranges[over + 1 :])
        return made

    def _at(self, seq: int) -> int:
        """Return the index of the last range that starts at `seq` or before, -1 for none."""
        return bisect_right(self.ranges, (seq, 1 << 62)) - 1

    def missing(self, first: int, last: int) -> tuple[Range, ...]:
        """Return the ranges within first..last (inclusive) that are not in the set."""
        holes: list[Range] = []
        expected = first
        for at in range(max(0, self._at(first)), len(self.ranges)):
            low, high = self.ranges[at]
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
        at = self._at(seq - 1)
        return min(self.ranges[at][1], seq - 1) if at >= 0 else None

    def above(self, seq: int) -> int | None:
        """Return the least member above `seq`, or None."""
        at = self._at(seq + 1)
        if at >= 0 and self.ranges[at][1] > seq:
            return max(self.ranges[at][0], seq + 1)
        return self.ranges[at + 1][0] if at + 1 < len(self.ranges) else None

    def within(self, first: int, last: int) -> "SeqRanges":
        """Return the part of the set within first..last."""
        made = SeqRanges()
        begin, end = max(0, self._at(first)), self._at(last) + 1
        if last < first or begin >= end:
            return made
        if self.ranges[begin][1] < first:
            begin += 1
        part = list(self.ranges[begin:end])
        if part:
            part[0] = (max(part[0][0], first), part[0][1])
            part[-1] = (part[-1][0], min(part[-1][1], last))
        made.ranges = tuple(part)
        return made
