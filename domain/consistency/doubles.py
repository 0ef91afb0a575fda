"""Fragments in two current chunks: which of the chunks can go?

60 s chunks   [--- 0 1 2 3 4 5 ---)            made first: all of it stands in the other two
30 s chunks   [- 0 1 2 -)[- 3 4 5 -)           made later: they stay
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from domain.consistency.findings import RowId
from domain.events import ChunkComplete
from domain.seqs import SeqRanges


@dataclass(frozen=True, slots=True)
class Standing:
    """A current chunk, as much of it as is needed to find its doubles."""

    id: RowId
    seqs: SeqRanges
    joined_ms: int
    key: str

    @classmethod
    def of(cls, chunk: ChunkComplete) -> "Standing":
        """Return what a manifest tells."""
        return cls(
            RowId(chunk.window_start_ms, chunk.run, chunk.revision, chunk.digest),
            SeqRanges.of(fragment.seq for fragment in chunk.fragments),
            chunk.joined_ms,
            chunk.object_key,
        )

    def shares(self, other: "Standing") -> SeqRanges:
        """Return the seqs that both hold; none for chunks of different runs."""
        if self.id.run != other.id.run:
            return SeqRanges()
        return reduce(
            SeqRanges.__or__, (other.seqs.within(*pair) for pair in self.seqs.ranges), SeqRanges()
        )


def redundant(chunks: Sequence[Standing]) -> list[tuple[Standing, SeqRanges, bool]]:
    """Return each chunk that shares fragments with an earlier made one or is wholly shared.

    (the chunk, what it shares, whether it can go: then nothing is lost that its neighbours
    hold). The ones made first go first; of two that cannot go, the later made is told.
    """
    doubled: list[tuple[Standing, SeqRanges, bool]] = []
    staying = sorted(chunks, key=lambda each: (each.joined_ms, each.id.window_start_ms))
    for chunk in list(staying):
        others = [each for each in staying if each is not chunk]
        shared = reduce(SeqRanges.__or__, (chunk.shares(each) for each in others), SeqRanges())
        if not shared:
            continue
        can_go = len(shared) == len(chunk.seqs)
        if can_go:
            staying.remove(chunk)
        earlier = others[: staying.index(chunk)] if not can_go else []
        if can_go or any(chunk.shares(each) for each in earlier):
            doubled.append((chunk, shared, can_go))
    return doubled
