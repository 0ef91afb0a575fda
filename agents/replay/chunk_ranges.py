"""A bucket in which fragments are read where they stand: in chunks, or on their own.

The joiner asks for fragments by their own keys; those are deleted once their chunk is current.
Here, what chunks are known to hold is read from its byte range in them, and from its own object
only where the chunk's is gone.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import Any

from agents.consistency.restorer import LostBytesError
from domain.errors import IntegrityError, ObjectMissingError
from domain.events import ChunkComplete
from domain.identity import fragment_key
from stores.objects import ObjectInfo, ObjectStore


class ChunkRangeStore:
    """What the joiner needs of an object store, over `store`; `chunks` hold the fragments."""

    def __init__(self, store: ObjectStore, chunks: Iterable[ChunkComplete]) -> None:
        self._store = store
        self._places = {
            fragment_key(chunk.camera, chunk.run, each.seq): (chunk.object_key, each.offset)
            for chunk in chunks
            for each in chunk.fragments
        }

    async def get_verified(
        self, key: str, *, size_bytes: int, sha256: str, first: int | None = None
    ) -> bytes:
        """Return a fragment's bytes; LostBytesError where they stand nowhere as promised.

        Nothing is ever left out: a chunk that would lack something is not made.
        """
        places = [(key, first)]
        if first is None and key in self._places:
            places.insert(0, self._places[key])
        for place, offset in places:
            try:
                return await self._store.get_verified(
                    place, first=offset, size_bytes=size_bytes, sha256=sha256
                )
            except (ObjectMissingError, IntegrityError):
                continue
        raise LostBytesError(
            f"{key} stands neither in its chunk nor on its own as its manifest tells: see `vigil "
            "fsck --bytes`."
        )

    def list(self, prefix: str, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        """List as the store does."""
        return self._store.list(prefix, start_after)

    async def get(self, key: str) -> bytes:
        """Read as the store does."""
        return await self._store.get(key)

    async def put_once(self, key: str, data: bytes, **more: Any) -> bool:
        """Write as the store does."""
        return await self._store.put_once(key, data, **more)

    async def put_stream(self, key: str, parts: AsyncGenerator[bytes, None]) -> int:
        """Write as the store does."""
        return await self._store.put_stream(key, parts)
