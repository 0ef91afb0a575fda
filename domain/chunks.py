"""What a chunk is made of: its digest, its manifest, its revisions."""

import hashlib
from collections.abc import Iterable, Sequence

from domain.events import ChunkComplete, ChunkDue, FragmentRef, Gap, ManifestFragment
from domain.seqs import SeqRanges


def digest_of(camera: str, run: str, fragments: Sequence[FragmentRef]) -> str:
    """Return 32 hex digits that follow from the ordered fragment ids and hashes alone."""
    state = hashlib.sha256(f"{camera}/{run}\n".encode())
    for fragment in fragments:
        state.update(f"{fragment.seq} {fragment.sha256}\n".encode())
    return state.hexdigest()[:32]


def merged(standing: ChunkComplete | None, due: ChunkDue) -> list[FragmentRef]:
    """Return the fragments that the chunk shall hold, in order: those it holds and those due.

    Where both name a seq, the one that stands in the chunk already counts.
    """
    by_seq: dict[int, FragmentRef] = {fragment.seq: fragment for fragment in due.fragments}
    if standing is not None:
        by_seq |= {fragment.seq: fragment for fragment in standing.fragments}
    return [by_seq[seq] for seq in sorted(by_seq)]


def remaining_gaps(
    standing: ChunkComplete | None,
    due: ChunkDue,
    joined: Sequence[ManifestFragment],
    left_out: Iterable[Gap],
) -> list[Gap]:
    """Return the gaps that a chunk still has once `joined` stands in it, in order, each once."""
    have = SeqRanges.of(fragment.seq for fragment in joined)
    told = [*(standing.gaps if standing is not None else []), *due.gaps, *left_out]
    by_seqs = {
        (gap.first_seq, gap.last_seq): gap
        for gap in told
        if have.missing(gap.first_seq, gap.last_seq)
    }
    return [by_seqs[key] for key in sorted(by_seqs)]
