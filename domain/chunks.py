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
    """Return the gaps that a chunk still has once `joined` stands in it, in order.

    Each missing seq is told once, by the newest of those that tell of it. What a late fragment
    has filled in part is cut to the time that is still missing.
    """
    by_seq = {fragment.seq: fragment for fragment in joined}
    told = SeqRanges.of(by_seq)
    gaps: list[Gap] = []
    for gap in [*left_out, *due.gaps, *(standing.gaps if standing is not None else [])]:
        for first, last in told.missing(gap.first_seq, gap.last_seq):
            before, after = by_seq.get(first - 1), by_seq.get(last + 1)
            from_ms, to_ms = gap.from_ms, gap.to_ms
            if before is not None and first > gap.first_seq:
                from_ms = before.start_ms + before.duration_ms
            if after is not None and last < gap.last_seq:
                to_ms = after.start_ms
            gaps.append(
                Gap(
                    from_ms=from_ms,
                    to_ms=max(from_ms, to_ms),
                    first_seq=first,
                    last_seq=last,
                    reason=gap.reason,
                )
            )
        told |= SeqRanges([(gap.first_seq, gap.last_seq)])
    return sorted(gaps, key=lambda gap: gap.first_seq)
