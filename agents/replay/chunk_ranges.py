"""An object store for the joiner that reads fragments from their byte ranges in chunks.

The joiner asks for fragments by their own keys, but retention deletes these objects once their
chunk is current. This store reads a fragment's byte range in its chunk. It reads the fragment's own
object only if the chunk does not have the bytes any more.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from agents.consistency.restorer import LostBytesError
from domain.errors import IntegrityError, ObjectMissingError
from domain.events import ChunkComplete
from domain.identity import fragment_key
from stores.object_info import ObjectInfo
from stores.objects import ObjectStore


class ChunkRangeStore:
    """The methods that the joiner needs, on top of `store`. `chunks` contain the fragments."""

    def __init__(self, store: ObjectStore, chunks: Iterable[ChunkComplete]) -> None:
        self._store = store
        self._ranges = {
            fragment_key(chunk.camera, chunk.run, each.seq): (chunk.object_key, each.offset)
            for chunk in chunks
            for each in chunk.fragments
        }

    async def get_verified(
        self, key: str, *, size_bytes: int, sha256: str, first: int | None = None
    ) -> bytes:
        """Return a fragment's bytes. Raises LostBytesError if they exist nowhere.

        No fragment is ever left out: a chunk without all its fragments is not made.
        """
        sources = [(key, first)]
        if first is None and key in self._ranges:
            sources.insert(0, self._ranges[key])
        for source, offset in sources:
            try:
                return await self._store.get_verified(
                    source, first=offset, size_bytes=size_bytes, sha256=sha256
                )
            except (ObjectMissingError, IntegrityError):
                continue
        raise LostBytesError(
            f"the bytes of {key} are neither in its chunk nor in its own object: run `vigil fsck "
            "--bytes`."
        )

    def list(self, prefix: str, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        """List objects as the store does."""
        return self._store.list(prefix, start_after)

    async def get(self, key: str) -> bytes:
        """Read an object as the store does."""
        return await self._store.get(key)

    async def put_once(self, key: str, data: bytes, **more: Any) -> bool:
        """Write an object as the store does."""
        return await self._store.put_once(key, data, **more)

    async def put_stream(self, key: str, parts: AsyncGenerator[bytes, None]) -> int:
        """Write an object as the store does."""
        return await self._store.put_stream(key, parts)
