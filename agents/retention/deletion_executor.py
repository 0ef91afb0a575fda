"""Carries out decided deletions: publishes tombstones, then deletes objects and the record."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence

from agents.retention.deletion_stats import DeletionStats
from domain.deletions import Deletion, FragmentsDeletion, in_batches
from domain.identity import fragment_key, parse_chunk_key
from stores import bucket_listing
from stores.catalog import Catalog, retention
from stores.objects import ObjectStore
from streams.sender import EventSender

log = logging.getLogger(__name__)


class DeletionExecutor:
    """Publishes tombstones for pending deletions, then deletes the objects.

    `clock_ms` returns UTC in milliseconds.
    """

    def __init__(
        self, store: ObjectStore, catalog: Catalog, sender: EventSender, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._sender = sender
        self._clock_ms = clock_ms

    async def resume(self, camera: str, stats: DeletionStats) -> int:
        """Finish the deletions that an earlier pass decided; return the last one's number."""
        after = await self.execute(camera, 0, stats)
        if after:
            log.info("finished the deletions of an earlier pass", extra={"camera": camera})
        return after

    async def execute(self, camera: str, after: int, stats: DeletionStats) -> int:
        """Carry out the pending deletions after a number; return the last one's number."""
        while deletions := await retention.pending_deletions(
            self._catalog, camera, self._clock_ms(), after
        ):
            for each in deletions:
                await self._sender.send(each.event())
            for batch in in_batches(deletions):
                await self._delete(batch, stats)
            after = deletions[-1].id
        return after

    async def _delete(self, batch: Sequence[Deletion], stats: DeletionStats) -> None:
        async with retention.without_hold(self._catalog, batch) as (connection, free):
            stats.held += len(batch) - len(free)
            keys: list[str] = []
            for each in free:
                object_keys = [key async for key in self._keys(each)]
                stats.count(each.cause, len(object_keys), each.size_bytes)
                keys += object_keys
            await self._store.delete(keys)
            await retention.remove_completed(connection, free)

    async def _keys(self, deletion: Deletion) -> AsyncIterator[str]:
        """Yield the keys of a deletion. Manifests come last: until then, fsck can find the rest."""
        camera, run = deletion.camera, deletion.run
        if isinstance(deletion, FragmentsDeletion):
            for seq in deletion.fragments:
                yield fragment_key(camera, run, seq)
            return
        manifests = []
        async for info in bucket_listing.objects_of_window(
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
