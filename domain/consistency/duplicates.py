"""Fragments in two current chunks: which of the chunks can be deleted?

60 s chunks   [--- 0 1 2 3 4 5 ---)            made first: the other two hold all of it
30 s chunks   [- 0 1 2 -)[- 3 4 5 -)           made later: they stay
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from domain.consistency.findings import RowId
from domain.events import ChunkComplete
from domain.seqs import SeqRanges


@dataclass(frozen=True, slots=True)
class CurrentChunk:
    """A current chunk, as much of it as is needed to find duplicates."""

    id: RowId
    seqs: SeqRanges
    joined_ms: int
    key: str

    @classmethod
    def of(cls, chunk: ChunkComplete) -> "CurrentChunk":
        """Return the part of a manifest that is compared."""
        return cls(
            RowId(chunk.window_start_ms, chunk.run, chunk.revision, chunk.digest),
            SeqRanges.of(fragment.seq for fragment in chunk.fragments),
            chunk.joined_ms,
            chunk.object_key,
        )

    def shared_with(self, other: "CurrentChunk") -> SeqRanges:
        """Return the seqs that both hold; none for chunks of different runs."""
        if self.id.run != other.id.run:
            return SeqRanges()
        return reduce(
            SeqRanges.__or__, (other.seqs.within(*pair) for pair in self.seqs.ranges), SeqRanges()
        )


def duplicates(chunks: Sequence[CurrentChunk]) -> list[tuple[CurrentChunk, SeqRanges, bool]]:
    """Return the chunks that duplicate others, as (chunk, the shared seqs, deletable).

    A chunk is deletable if other chunks hold all of it. The oldest is deleted first. Of two that
    share only a part, the later one is reported.
    """
    found: list[tuple[CurrentChunk, SeqRanges, bool]] = []
    staying = sorted(chunks, key=lambda each: (each.joined_ms, each.id.window_start_ms))
    for chunk in list(staying):
        others = [each for each in staying if each is not chunk]
        shared = reduce(SeqRanges.__or__, (chunk.shared_with(each) for each in others), SeqRanges())
        if not shared:
            continue
        deletable = len(shared) == len(chunk.seqs)
        if deletable:
            staying.remove(chunk)
        earlier = others[: staying.index(chunk)] if not deletable else []
        if deletable or any(chunk.shared_with(each) for each in earlier):
            found.append((chunk, shared, deletable))
    return found
