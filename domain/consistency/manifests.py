"""Does a manifest agree with its name and with itself?"""

from domain.chunks import digest_of
from domain.events import ChunkComplete
from domain.gaps import GIVEN_UP, NEVER_ARRIVED, OBJECT_MISSING, PARTLY_GIVEN_UP
from domain.identity import chunk_key, manifest_key
from domain.seqs import SeqRanges

NOT_THERE = frozenset({GIVEN_UP, NEVER_ARRIVED, PARTLY_GIVEN_UP, OBJECT_MISSING})
"""Reasons of gaps that hold only while no object stands."""


def manifest_fault(key: str, chunk: ChunkComplete) -> str | None:
    """Return what is wrong with the manifest that stands under `key`, or None."""
    named = chunk_key(chunk.camera, chunk.run, chunk.window_start_ms, chunk.window_ms, chunk.digest)
    if named != chunk.object_key or manifest_key(named) != key:
        return "it tells of another chunk than its name"
    if digest_of(chunk.camera, chunk.run, chunk.fragments) != chunk.digest:
        return "its digest does not follow from its fragments"
    at = 0
    for previous, fragment in zip([None, *chunk.fragments], chunk.fragments, strict=False):
        if fragment.offset != at:
            return f"its fragment {fragment.seq} does not begin where the one before ends"
        if previous is not None and previous.seq >= fragment.seq:
            return f"its fragment {fragment.seq} is out of order"
        at += fragment.size_bytes
    if at != chunk.size_bytes:
        return f"its fragments have {at} bytes, the chunk {chunk.size_bytes}"
    return None


def explained(chunk: ChunkComplete) -> SeqRanges:
    """Return the seqs that the chunk left out though their objects may stand: unusable bytes."""
    return SeqRanges(
        (gap.first_seq, gap.last_seq) for gap in chunk.gaps if gap.reason not in NOT_THERE
    )
