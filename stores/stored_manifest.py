"""Reads manifests, and writes a chunk's manifest again."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from pydantic import ValidationError

from domain.errors import ObjectMissingError
from domain.events import ChunkComplete
from domain.identity import manifest_key
from domain.manifests import Manifest, SignedNotice, encode_manifest, parse_manifest
from stores.objects import ObjectStore


async def read_manifest(store: ObjectStore, key: str) -> Manifest:
    """Return a manifest. Raises pydantic's ValidationError, ObjectMissingError, StoreError."""
    return parse_manifest(await store.get(key))


async def signed_notices(
    store: ObjectStore, chunks: Iterable[ChunkComplete]
) -> dict[tuple[str, int], SignedNotice]:
    """Return by run and seq what was signed of the fragments of chunks, by their manifests."""
    found: dict[tuple[str, int], SignedNotice] = {}
    for chunk in chunks:
        with suppress(ValidationError, ObjectMissingError):  # fsck reports it
            manifest = await read_manifest(store, manifest_key(chunk.object_key))
            found |= {(chunk.run, each.seq): each for each in manifest.signed}
    return found


async def replace_manifest(store: ObjectStore, chunk: ChunkComplete) -> None:
    """Write the manifest, in place of an existing one, of which the signatures are kept."""
    signed = await signed_notices(store, [chunk])
    data = encode_manifest(Manifest.of(chunk, signed.values()))

    async def once() -> AsyncIterator[bytes]:
        yield data

    metadata = {"sha256": hashlib.sha256(data).hexdigest()}
    await store.put_stream(
        manifest_key(chunk.object_key), once(), metadata=metadata, content_type="application/json"
    )
