"""Reads fragments for the joiner from their byte ranges in chunks.

The joiner asks for fragments by their own keys, but retention deletes these objects once their
chunk is current. So a fragment's byte range in its chunk is read. The fragment's own object is read
only if the chunk does not have the bytes any more.
"""

from collections.abc import Iterable

from agents.consistency.restorer import LostBytesError
from domain.errors import IntegrityError, ObjectMissingError
from domain.events import ChunkComplete, FragmentRef
from domain.identity import fragment_key
from stores.objects import ObjectStore


class ChunkRanges:
    """The fragments that `chunks` contain."""

    def __init__(self, store: ObjectStore, chunks: Iterable[ChunkComplete]) -> None:
        self._store = store
        self._ranges = {
            fragment_key(chunk.camera, chunk.run, each.seq): (chunk.object_key, each.offset)
            for chunk in chunks
            for each in chunk.fragments
        }

    async def read(self, key: str, first: int | None, fragment: FragmentRef) -> memoryview:
        """Return a fragment's bytes. Raises LostBytesError if they exist nowhere.

        No fragment is ever left out: a chunk without all its fragments is not made.
        """
        sources = [(key, first)]
        if first is None and key in self._ranges:
            sources.insert(0, self._ranges[key])
        for source, offset in sources:
            try:
                data = await self._store.get_verified(
                    source, first=offset, size_bytes=fragment.size_bytes, sha256=fragment.sha256
                )
                return memoryview(data)
            except (ObjectMissingError, IntegrityError):
                continue
        raise LostBytesError(
            f"the bytes of {key} are neither in its chunk nor in its own object: run `vigil fsck "
            "--bytes`."
        )
