"""Does a manifest match its key and itself?"""

from domain.chunks import digest_of
from domain.events import ChunkComplete
from domain.gaps import BYTES_DIFFER, GIVEN_UP, NEVER_ARRIVED, OBJECT_MISSING, PARTLY_GIVEN_UP
from domain.identity import chunk_key, manifest_key
from domain.seqs import SeqRanges

NO_OBJECT = frozenset({GIVEN_UP, NEVER_ARRIVED, PARTLY_GIVEN_UP, OBJECT_MISSING})
"""Reasons of gaps that are true only while there is no object."""


def manifest_fault(key: str, chunk: ChunkComplete) -> str | None:
    """Return what is wrong with the manifest that is stored under `key`, or None."""
    named = chunk_key(chunk.camera, chunk.run, chunk.window_start_ms, chunk.window_ms, chunk.digest)
    if named != chunk.object_key or manifest_key(named) != key:
        return "it describes another chunk than its key"
    if digest_of(chunk.camera, chunk.run, chunk.fragments) != chunk.digest:
        return "its digest does not follow from its fragments"
    at = 0
    for previous, fragment in zip([None, *chunk.fragments], chunk.fragments, strict=False):
        if fragment.offset != at:
            return f"its fragment {fragment.seq} does not start where the one before ends"
        if previous is not None and previous.seq >= fragment.seq:
            return f"its fragment {fragment.seq} is out of order"
        at += fragment.size_bytes
    if at != chunk.size_bytes:
        return f"its fragments have {at} bytes, the chunk {chunk.size_bytes}"
    return None


def unusable_seqs(chunk: ChunkComplete) -> SeqRanges:
    """Return the seqs that the chunk left out because their bytes are unusable.

    Their objects may still exist.
    """
    return SeqRanges(
        (gap.first_seq, gap.last_seq) for gap in chunk.gaps if gap.reason not in NO_OBJECT
    )


def disputed_seqs(chunk: ChunkComplete) -> SeqRanges:
    """Return the seqs that the chunk left out because S3 has other bytes than their notices say.

    If S3's own metadata agree with the bytes, the notices were wrong.
    """
    return SeqRanges(
        (gap.first_seq, gap.last_seq) for gap in chunk.gaps if gap.reason.startswith(BYTES_DIFFER)
    )
