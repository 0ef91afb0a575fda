"""Writes lost objects again, with the same name and the same bytes, or not at all.

A chunk's name follows from its content. So it is safe if a joiner writes the same chunk at the
same time.
"""

import hashlib
from collections.abc import AsyncIterator

from pydantic import ValidationError

from domain.consistency import manifest_fault
from domain.errors import IntegrityError, ObjectMissingError, StoreError
from domain.events import ChunkComplete, ManifestFragment
from domain.identity import fragment_key, manifest_key
from stores import bucket_listing
from stores.objects import ObjectStore
from stores.stored_manifest import read_manifest, replace_manifest


class LostBytesError(StoreError):
    """A fragment's bytes no longer exist anywhere."""


async def restore_chunk(store: ObjectStore, chunk: ChunkComplete) -> None:
    """Write a chunk's object and manifest. One fragment is in memory at a time.

    Each fragment is read from its own object, from the undamaged part of the chunk, or from
    another revision. Raises LostBytesError, and writes nothing, if a fragment exists nowhere.
    """
    others = [each async for each in other_chunks(store, chunk)]
    await store.put_stream(chunk.object_key, _stream(store, chunk, others))
    await write_manifest(store, chunk)


async def write_manifest(store: ObjectStore, chunk: ChunkComplete) -> None:
    """Write the manifest, replacing an existing one. Raises LostBytesError if it is invalid."""
    key = manifest_key(chunk.object_key)
    if fault := manifest_fault(key, chunk):
        raise LostBytesError(
            f"the row of {chunk.object_key} does not make a valid manifest: {fault}."
        )
    await replace_manifest(store, chunk)


async def restore_fragment(store: ObjectStore, chunk: ChunkComplete, seq: int) -> None:
    """Write a fragment's own object again from its chunk. Its metadata stay the same."""
    fragment = next(each for each in chunk.fragments if each.seq == seq)
    data = await store.get_verified(
        chunk.object_key,
        first=fragment.offset,
        size_bytes=fragment.size_bytes,
        sha256=fragment.sha256,
    )
    key = fragment_key(chunk.camera, chunk.run, seq)
    metadata = (await store.head(key)).metadata

    async def once() -> AsyncIterator[bytes]:
        yield data

    await store.put_stream(key, once(), metadata=metadata)


async def other_chunks(store: ObjectStore, chunk: ChunkComplete) -> AsyncIterator[ChunkComplete]:
    """Yield the existing other revisions, and windows of other lengths with the same start."""
    async for info in bucket_listing.objects_of_window(
        store, chunk.camera, chunk.run, chunk.window_start_ms
    ):
        if not info.key.endswith(".json"):
            continue
        try:
            other = (await read_manifest(store, info.key)).chunk
        except (ValidationError, ObjectMissingError):
            continue
        if other.digest != chunk.digest and manifest_fault(info.key, other) is None:
            yield other


async def _stream(
    store: ObjectStore, chunk: ChunkComplete, others: list[ChunkComplete]
) -> AsyncIterator[bytes]:
    whole = hashlib.sha256()
    for fragment in chunk.fragments:
        data = await _read_fragment(store, chunk, fragment, others)
        whole.update(data)
        yield data
    if whole.hexdigest() != chunk.sha256:
        raise LostBytesError(
            f"the fragments of {chunk.object_key} do not have the SHA-256 of its manifest."
        )


async def _read_fragment(
    store: ObjectStore,
    chunk: ChunkComplete,
    fragment: ManifestFragment,
    others: list[ChunkComplete],
) -> bytes:
    sources: list[tuple[str, int | None]] = [
        (fragment_key(chunk.camera, chunk.run, fragment.seq), None),
        (chunk.object_key, fragment.offset),
    ]
    for other in others:
        sources += [
            (other.object_key, entry.offset)
            for entry in other.fragments
            if (entry.seq, entry.sha256) == (fragment.seq, fragment.sha256)
        ]
    for key, first in sources:
        try:
            return await store.get_verified(
                key, first=first, size_bytes=fragment.size_bytes, sha256=fragment.sha256
            )
        except (ObjectMissingError, IntegrityError):
            continue
        except StoreError as error:
            if first is None or "416" not in str(error):  # 416: the object ends before the range
                raise
    raise LostBytesError(
        f"the bytes of fragment {fragment.seq} of {chunk.camera} {chunk.run} no longer exist; "
        "restore the object from a copy or from an older version in the bucket."
    )
