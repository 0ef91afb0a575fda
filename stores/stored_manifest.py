"""Writes a chunk's manifest again."""

import hashlib
from collections.abc import AsyncIterator

from domain.events import ChunkComplete, encode
from domain.identity import manifest_key
from stores.objects import ObjectStore


async def replace_manifest(store: ObjectStore, chunk: ChunkComplete) -> None:
    """Write the manifest, in place of an existing one."""
    data = encode(chunk)

    async def once() -> AsyncIterator[bytes]:
        yield data

    metadata = {"sha256": hashlib.sha256(data).hexdigest()}
    await store.put_stream(
        manifest_key(chunk.object_key), once(), metadata=metadata, content_type="application/json"
    )
