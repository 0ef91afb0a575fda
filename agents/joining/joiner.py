"""Joining: the fragments of one run in one window become one object, with its manifest.

A few fragments are read ahead, one part of at least 5 MiB is on its way to S3 and the next is
gathered: that is all the memory it takes, however long the chunk (docs/design/join.md). The name of
the object follows from what was joined: doing it again writes the same.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic import ValidationError

from agents.joining.join_errors import (
    LeftOutError,
    NothingToJoinError,
    WindowDeletedError,
    told,
    unreadable_reason,
)
from agents.joining.read_ahead import read_ahead
from domain.chunks import digest_of, merged, remaining_gaps
from domain.errors import (
    ObjectExistsError,
)
from domain.events import (
    ChunkComplete,
    ChunkDue,
    FragmentRef,
    Gap,
    Keyframe,
    ManifestFragment,
    encode,
)
from domain.identity import chunk_key, fragment_key, manifest_key, window_prefix
from domain.retention import SHORTEST_AGE_MS
from media.keyframes import index
from stores.catalog import Catalog
from stores.catalog.tombstones import window_deleted
from stores.objects import HASH_IN_THREAD_BYTES, ObjectStore

log = logging.getLogger(__name__)
YOUNGEST_MS = SHORTEST_AGE_MS // 2
"""Younger windows cannot have been deleted for their age; the half allows for wrong clocks."""
MAX_KEYFRAMES = 1_000
"""Of one fragment in a manifest."""


@dataclass
class _Joined:
    """What passed through the joiner on the way to S3."""

    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    size_bytes: int = 0
    fragments: list[ManifestFragment] = field(default_factory=list)


class Joiner:
    """Makes chunks in one bucket. `clock_ms` gives UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        clock_ms: Callable[[], int],
        catalog: Callable[[], Awaitable[Catalog]] | None = None,
    ) -> None:
        """`catalog` opens what remembers deletions; without it none is known of."""
        self._store = store
        self._clock_ms = clock_ms
        self._catalog = catalog

    async def join(self, due: ChunkDue) -> ChunkComplete:
        """Make the chunk and its manifest stand in S3; return what `chunk-complete` says.

        A fragment that is missing or fails its hash is left out and told as a gap. Raises
        StoreError where S3 or the catalog fails (try again), NothingToJoinError where no fragment
        can be read, WindowDeletedError where the window must not come back.
        """
        if await self._deleted(due):
            raise WindowDeletedError(f"{due.camera} {due.run} {due.window_start_ms} was deleted.")
        standing = await self._standing(due)
        fragments = merged(standing, due)
        left_out: list[Gap] = []
        while fragments:
            digest = digest_of(due.camera, due.run, fragments)
            if standing is not None and standing.digest == digest:
                return standing
            try:
                return await self._make(due, standing, fragments, left_out, digest)
            except LeftOutError as failure:
                left_out += told(due, fragments, failure.reasons)
                fragments = [each for each in fragments if each.seq not in failure.reasons]
        raise NothingToJoinError(due, left_out, self._clock_ms())

    async def _deleted(self, due: ChunkDue) -> bool:
        """Say whether retention has deleted the window; only of old ones the catalog is asked."""
        too_young = due.window_start_ms + due.window_ms + YOUNGEST_MS > self._clock_ms()
        if self._catalog is None or too_young:
            return False
        catalog = await self._catalog()
        return await window_deleted(catalog, due.camera, due.run, due.window_start_ms)

    async def _standing(self, due: ChunkDue) -> ChunkComplete | None:
        """Return the newest revision that stands in S3, or None."""
        prefix = window_prefix(due.camera, due.run, due.window_start_ms, due.window_ms)
        newest: ChunkComplete | None = None
        async for info in self._store.list(prefix):
            if info.key.endswith(".json"):
                manifest = await self._manifest(info.key)
                if manifest and (newest is None or manifest.revision > newest.revision):
                    newest = manifest
        return newest

    async def _manifest(self, key: str) -> ChunkComplete | None:
        try:
            return ChunkComplete.model_validate_json(await self._store.get(key))
        except ValidationError as error:
            log.error("manifest unreadable: %s", error, extra={"key": key})
            return None

    async def _make(
        self,
        due: ChunkDue,
        standing: ChunkComplete | None,
        fragments: Sequence[FragmentRef],
        left_out: list[Gap],
        digest: str,
    ) -> ChunkComplete:
        key = chunk_key(due.camera, due.run, due.window_start_ms, due.window_ms, digest)
        joined = _Joined()
        async with aclosing(self._bytes(due, standing, fragments, joined)) as pieces:
            await self._store.put_stream(key, pieces)
        complete = ChunkComplete(
            camera=due.camera,
            run=due.run,
            window_start_ms=due.window_start_ms,
            window_ms=due.window_ms,
            revision=standing.revision + 1 if standing is not None else 1,
            digest=digest,
            object_key=key,
            size_bytes=joined.size_bytes,
            sha256=joined.sha256.hexdigest(),
            start_ms=min(each.start_ms for each in joined.fragments),
            end_ms=max(each.start_ms + each.duration_ms for each in joined.fragments),
            reason=due.reason,
            **due.form.model_dump(),
            fragments=joined.fragments,
            gaps=remaining_gaps(standing, due, joined.fragments, left_out),
            joined_ms=self._clock_ms(),
        )
        return await self._write_manifest(complete)

    async def _write_manifest(self, complete: ChunkComplete) -> ChunkComplete:
        """Write the manifest once; where one of the same chunk stands already, that one counts."""
        key = manifest_key(complete.object_key)
        data = encode(complete)
        try:
            await self._store.put_once(
                key,
                data,
                sha256=hashlib.sha256(data).hexdigest(),
                metadata={},
                content_type="application/json",
            )
        except ObjectExistsError:
            if (standing := await self._manifest(key)) is not None:
                return standing
            raise
        return complete

    async def _bytes(
        self,
        due: ChunkDue,
        standing: ChunkComplete | None,
        fragments: Sequence[FragmentRef],
        joined: _Joined,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the fragments' bytes; where some cannot be had, tell of all of those at once."""
        wanted = read_ahead(
            fragments,
            lambda fragment: self._fragment(due, standing, fragment),
            lambda fragment: fragment.size_bytes,
        )
        missing: dict[int, str] = {}
        async with aclosing(wanted):
            async for fragment, reading in wanted:
                if (reason := await unreadable_reason(reading)) is not None:
                    missing[fragment.seq] = reason
                if missing:
                    continue  # the object will not be made: only what else is missing counts
                data, placed = await reading
                joined.fragments.append(placed.model_copy(update={"offset": joined.size_bytes}))
                await _update(joined.sha256, data)
                joined.size_bytes += len(data)
                yield data
        if missing:
            raise LeftOutError(missing)

    async def _fragment(
        self, due: ChunkDue, standing: ChunkComplete | None, fragment: FragmentRef
    ) -> tuple[bytes, ManifestFragment]:
        """Return a fragment's verified bytes, and what the manifest says of it but its place.

        The bytes are its object's, or its part of the standing chunk.
        """
        key = fragment_key(due.camera, due.run, fragment.seq)
        first = None
        if standing is not None and (old := _within(standing, fragment.seq)) is not None:
            key, first = standing.object_key, old.offset
        data = await self._store.get_verified(
            key, first=first, size_bytes=fragment.size_bytes, sha256=fragment.sha256
        )
        read = index(data, near_pts=fragment.start_pts)
        return data, ManifestFragment(
            **fragment.model_dump(include=set(FragmentRef.model_fields)),
            offset=0,
            frames=read.frames,
            keyframes=_thinned(read.keyframes),
        )


async def _update(sha256: "hashlib._Hash", data: bytes) -> None:
    """Hash more bytes; many of them in a thread, so that the loop goes on."""
    if len(data) < HASH_IN_THREAD_BYTES:
        sha256.update(data)
    else:
        await asyncio.to_thread(sha256.update, data)


def _thinned(keyframes: Sequence[Keyframe]) -> list[Keyframe]:
    """Return as many keyframes as a manifest takes, evenly: cameras may send nothing else."""
    return list(keyframes[:: -(-len(keyframes) // MAX_KEYFRAMES) or 1])


def _within(standing: ChunkComplete, seq: int) -> ManifestFragment | None:
    return next((each for each in standing.fragments if each.seq == seq), None)
