"""Verify every byte against the manifest: the chunk's, and those of its fragments' objects."""

import hashlib
from collections.abc import AsyncIterator

from domain.consistency import Inconsistency, Repair, Restore, RestoreFragment
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete, ManifestFragment
from domain.identity import fragment_key, parse_fragment_key, run_prefix
from stores.objects import ObjectStore


async def check_bytes(store: ObjectStore, chunk: ChunkComplete) -> AsyncIterator[Inconsistency]:
    """Yield what differs. One piece of the chunk is in memory at a time."""

    def finding(kind: str, text: str, key: str, seq: int | None, repair: Repair) -> Inconsistency:
        return Inconsistency(
            "chunk-differs" if kind == "chunk" else "fragment-differs",
            chunk.camera,
            text,
            run=chunk.run,
            seq=seq,
            at_ms=chunk.window_start_ms,
            key=key,
            repair=repair,
        )

    try:
        wrong = await wrong_ranges(store, chunk)
    except ObjectMissingError:
        text = f"{chunk.object_key} was deleted while it was read"
        yield finding("chunk", text, chunk.object_key, None, Restore(chunk))
        return
    if wrong is None:
        text = f"{chunk.object_key} does not have the SHA-256 of its manifest"
        yield finding("chunk", text, chunk.object_key, None, Restore(chunk))
    elif wrong:
        seqs = ", ".join(str(each.seq) for each in wrong[:10])
        text = f"{chunk.object_key} does not have the bytes of fragments {seqs}"
        yield finding("chunk", text, chunk.object_key, wrong[0].seq, Restore(chunk))
    async for fragment in _existing_fragments(store, chunk):
        key = fragment_key(chunk.camera, chunk.run, fragment.seq)
        try:
            differs = await sha256_of(store, key) != fragment.sha256
        except ObjectMissingError:
            continue  # deleted since: the chunk has its bytes
        if differs:
            text = f"{key} does not have the bytes that its chunk has"
            repair = RestoreFragment(chunk, fragment.seq)
            yield finding("fragment", text, key, fragment.seq, repair)


async def wrong_ranges(store: ObjectStore, chunk: ChunkComplete) -> list[ManifestFragment] | None:
    """Return the fragments whose byte range has another hash.

    None: all ranges are right, but the hash or size of the whole chunk differs.
    """
    whole = hashlib.sha256()
    wrong: list[ManifestFragment] = []
    # Fragments and the pieces that S3 sends end at different places.
    to_read = list(reversed(chunk.fragments))
    fragment_hash = hashlib.sha256()
    left = to_read[-1].size_bytes
    total_bytes = 0
    async for piece in store.stream(chunk.object_key):
        whole.update(piece)
        total_bytes += len(piece)
        at = 0
        while to_read and at < len(piece):
            taken = piece[at : at + left]
            fragment_hash.update(taken)
            at += len(taken)
            left -= len(taken)
            if left == 0:
                fragment = to_read.pop()
                if fragment_hash.hexdigest() != fragment.sha256:
                    wrong.append(fragment)
                fragment_hash = hashlib.sha256()
                left = to_read[-1].size_bytes if to_read else 0
    wrong += reversed(to_read)  # the object is too short for these
    if wrong or (whole.hexdigest() == chunk.sha256 and total_bytes == chunk.size_bytes):
        return wrong
    return None


async def sha256_of(store: ObjectStore, key: str) -> str:
    """Return the SHA-256 of an object's bytes, hex. Memory does not grow with its size."""
    state = hashlib.sha256()
    async for piece in store.stream(key):
        state.update(piece)
    return state.hexdigest()


async def _existing_fragments(
    store: ObjectStore, chunk: ChunkComplete
) -> AsyncIterator[ManifestFragment]:
    """Yield those fragments of a chunk whose own objects exist: one listing."""
    by_seq = {fragment.seq: fragment for fragment in chunk.fragments}
    first, last = min(by_seq), max(by_seq)
    after = fragment_key(chunk.camera, chunk.run, first - 1) if first else ""
    async for info in store.list(run_prefix(chunk.camera, chunk.run), after):
        name = parse_fragment_key(info.key)
        if name is None or name.seq > last:
            return
        if name.seq in by_seq:
            yield by_seq[name.seq]
