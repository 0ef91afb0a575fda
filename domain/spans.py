"""Sets of times, kept as half-open spans: small however long they are.

[0, 10) and [8, 20) and [30, 40)  ->  ((0, 20), (30, 40))
"""

from collections.abc import Iterable

Span = tuple[int, int]
FOREVER_MS = (1 << 48) // 60_000 * 60_000
"""Beyond any event; a whole minute."""


class Spans:
    """An immutable set of spans [from, to) in UTC ms: ascending, with gaps between."""

    __slots__ = ("spans",)

    def __init__(self, spans: Iterable[Span] = (), *, tolerance_ms: int = 0) -> None:
        """Make the set from spans in any order; gaps up to `tolerance_ms` are closed."""
        merged: list[Span] = []
        for from_ms, to_ms in sorted(spans):
            if to_ms <= from_ms:
                continue
            if merged and from_ms <= merged[-1][1] + tolerance_ms:
                merged[-1] = (merged[-1][0], max(merged[-1][1], to_ms))
            else:
                merged.append((from_ms, to_ms))
        self.spans: tuple[Span, ...] = tuple(merged)

    @classmethod
    def always(cls) -> "Spans":
        """All of time."""
        return cls([(0, FOREVER_MS)])

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spans) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        return f"Spans({list(self.spans)})"

    def __contains__(self, at_ms: int) -> bool:
        return any(from_ms <= at_ms < to_ms for from_ms, to_ms in self.spans)

    def __or__(self, other: "Spans") -> "Spans":
        return Spans(self.spans + other.spans)

    def __and__(self, other: "Spans") -> "Spans":
        return self - (self - other)

    def __sub__(self, other: "Spans") -> "Spans":
        left: list[Span] = []
        taken = list(other.spans)
        at = 0
        for span_from_ms, to_ms in self.spans:
            from_ms = span_from_ms
            while at < len(taken) and taken[at][1] <= from_ms:
                at += 1
            next_ = at
            while next_ < len(taken) and taken[next_][0] < to_ms:
                left.append((from_ms, taken[next_][0]))
                from_ms = taken[next_][1]
                next_ += 1
            left.append((from_ms, to_ms))
        return Spans(left)

    @property
    def length_ms(self) -> int:
        """The total time, ms."""
        return sum(to_ms - from_ms for from_ms, to_ms in self.spans)

    def edges(self) -> Iterable[int]:
        """Yield the start and the end of each span."""
        for span in self.spans:
            yield from span
