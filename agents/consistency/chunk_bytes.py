"""Is each byte what the manifest tells? The chunk's own, and those of fragments that stand."""

import hashlib
from collections.abc import AsyncIterator

from domain.consistency import Inconsistency, Repair, Restore, RestoreFragment
from domain.errors import ObjectMissingError
from domain.events import ChunkComplete, ManifestFragment
from domain.identity import fragment_key, parse_fragment_key, run_prefix
from stores.objects import ObjectStore


async def check_bytes(store: ObjectStore, chunk: ChunkComplete) -> AsyncIterator[Inconsistency]:
    """Yield what differs; one piece of the chunk is in memory at a time."""

    def finding(kind: str, says: str, key: str, seq: int | None, mend: Repair) -> Inconsistency:
        return Inconsistency(
            "chunk-differs" if kind == "chunk" else "fragment-differs",
            chunk.camera,
            says,
            run=chunk.run,
            seq=seq,
            at_ms=chunk.window_start_ms,
            key=key,
            repair=mend,
        )

    try:
        wrong = await wrong_ranges(store, chunk)
    except ObjectMissingError:
        says = f"{chunk.object_key} went while it was looked at"
        yield finding("chunk", says, chunk.object_key, None, Restore(chunk))
        return
    if wrong is None:
        says = f"{chunk.object_key} does not have the SHA-256 that its manifest tells"
        yield finding("chunk", says, chunk.object_key, None, Restore(chunk))
    elif wrong:
        seqs = ", ".join(str(each.seq) for each in wrong[:10])
        says = f"{chunk.object_key} does not hold the bytes of fragments {seqs}"
        yield finding("chunk", says, chunk.object_key, wrong[0].seq, Restore(chunk))
    async for fragment in _standing(store, chunk):
        key = fragment_key(chunk.camera, chunk.run, fragment.seq)
        try:
            differs = await sha256_of(store, key) != fragment.sha256
        except ObjectMissingError:
            continue  # deleted meanwhile: its chunk holds it
        if differs:
            says = f"{key} does not have the bytes that its chunk tells of"
            mend = RestoreFragment(chunk, fragment.seq)
            yield finding("fragment", says, key, fragment.seq, mend)


async def wrong_ranges(store: ObjectStore, chunk: ChunkComplete) -> list[ManifestFragment] | None:
    """Return the fragments whose range has another hash; None where only the whole's differs."""
    whole = hashlib.sha256()
    wrong: list[ManifestFragment] = []
    waiting = list(reversed(chunk.fragments))
    part, left = hashlib.sha256(), waiting[-1].size_bytes
    read = 0
    async for piece in store.stream(chunk.object_key):
        whole.update(piece)
        read += len(piece)
        at = 0
        while waiting and at < len(piece):
            taken = piece[at : at + left]
            part.update(taken)
            at, left = at + len(taken), left - len(taken)
            if left == 0:
                fragment = waiting.pop()
                if part.hexdigest() != fragment.sha256:
                    wrong.append(fragment)
                part, left = hashlib.sha256(), waiting[-1].size_bytes if waiting else 0
    wrong += reversed(waiting)
    if wrong or (whole.hexdigest() == chunk.sha256 and read == chunk.size_bytes):
        return wrong
    return None


async def sha256_of(store: ObjectStore, key: str) -> str:
    """Return the SHA-256 of an object's bytes, hex, with flat memory."""
    state = hashlib.sha256()
    async for piece in store.stream(key):
        state.update(piece)
    return state.hexdigest()


async def _standing(store: ObjectStore, chunk: ChunkComplete) -> AsyncIterator[ManifestFragment]:
    """Yield those fragments of a chunk whose own objects stand: one listing."""
    by_seq = {fragment.seq: fragment for fragment in chunk.fragments}
    first, last = min(by_seq), max(by_seq)
    after = fragment_key(chunk.camera, chunk.run, first - 1) if first else ""
    async for info in store.list(run_prefix(chunk.camera, chunk.run), after):
        name = parse_fragment_key(info.key)
        if name is None or name.seq > last:
            return
        if name.seq in by_seq:
            yield by_seq[name.seq]
