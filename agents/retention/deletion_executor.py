"""Carrying out what is decided: tombstones first, then objects, then the note goes."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence

from agents.retention.deletion_stats import DeletionStats
from domain.deletions import Deletion, FragmentsDeletion, in_batches
from domain.identity import fragment_key, parse_chunk_key
from stores import bucket_listing as bucket
from stores.catalog import Catalog
from stores.catalog import retention as book
from stores.objects import ObjectStore
from streams.sender import EventSender

log = logging.getLogger(__name__)


class DeletionExecutor:
    """Tells of what is under way and deletes it. `clock_ms` gives UTC in milliseconds."""

    def __init__(
        self, store: ObjectStore, catalog: Catalog, sender: EventSender, clock_ms: Callable[[], int]
    ) -> None:
        self._store, self._catalog, self._sender = store, catalog, sender
        self._clock_ms = clock_ms

    async def resume(self, camera: str, stats: DeletionStats) -> int:
        """Begin a pass with what an earlier one had decided; return the last one looked at."""
        after = await self.execute(camera, 0, stats)
        if after:
            log.info("took up what an earlier pass had decided", extra={"camera": camera})
        return after

    async def execute(self, camera: str, after: int, stats: DeletionStats) -> int:
        """Tell and delete what is under way beyond a number; return the last one looked at."""
        while deletions := await book.pending_deletions(
            self._catalog, camera, self._clock_ms(), after
        ):
            for each in deletions:
                await self._sender.send(each.event())
            for batch in in_batches(deletions):
                await self._delete(batch, stats)
            after = deletions[-1].id
        return after

    async def _delete(self, batch: Sequence[Deletion], stats: DeletionStats) -> None:
        async with book.without_hold(self._catalog, batch) as (connection, free):
            stats.held += len(batch) - len(free)
            keys: list[str] = []
            for each in free:
                mine = [key async for key in self._keys(each)]
                stats.count(each.cause, len(mine), each.size_bytes)
                keys += mine
            await self._store.delete(keys)
            await book.remove_completed(connection, free)

    async def _keys(self, deletion: Deletion) -> AsyncIterator[str]:
        """Yield what a deletion names; a chunk's manifest after its object, so it stays known."""
        camera, run = deletion.camera, deletion.run
        if isinstance(deletion, FragmentsDeletion):
            for seq in deletion.fragments:
                yield fragment_key(camera, run, seq)
            return
        manifests = []
        async for info in bucket.objects_of_window(
            self._store, camera, run, deletion.window_start_ms
        ):
            name = parse_chunk_key(info.key)
            if name is None or name.window_start_ms + name.window_ms > deletion.to_ms:
                continue
            if deletion.digest not in (None, name.digest):
                continue
            if name.manifest:
                manifests.append(info.key)
            else:
                yield info.key
        for key in manifests:
            yield key
