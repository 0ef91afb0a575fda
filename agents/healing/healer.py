"""The healer: fragments in S3 that no event announced are sent as events.

Retention deletes fragments that are in chunks, and old footage. With a catalog, the healer
announces the first from their chunk's manifest, because they are not missing. It never announces
old footage again.
"""

from collections.abc import AsyncIterator, Callable

from domain.events import (
    Event,
    FragmentArrived,
    Healed,
    HealRequested,
    RunEnded,
)
from domain.identity import MAX_SEQ, fragment_key, parse_fragment_key, run_end_key, run_prefix
from domain.plausible import event_fault
from domain.seqs import SeqRanges
from stores.catalog import Catalog, tombstones
from stores.object_info import ObjectInfo
from stores.objects import ObjectStore
from stores.stored_fragment import (
    ObjectSignatures,
    log_ignored,
    stored_fragment,
    stored_run_end,
)


class Healer:
    """Lists one bucket. `clock_ms` returns UTC in milliseconds."""

    def __init__(
        self,
        store: ObjectStore,
        clock_ms: Callable[[], int],
        catalog: Catalog | None = None,
        signatures: ObjectSignatures | None = None,
    ) -> None:
        """Without a catalog it does not know deletions. `signatures` says which objects count."""
        self._store = store
        self._signatures = signatures
        self._clock_ms = clock_ms
        self._catalog = catalog

    async def heal(self, request: HealRequested) -> AsyncIterator[Event]:
        """Yield the unannounced fragments, the run end if it exists, and `Healed` last.

        Sends one listing request per 1,000 keys and one HEAD per unannounced fragment. Raises
        StoreError if S3 or the catalog fails: start again, which is harmless.
        """
        found = 0
        async for fragment in self._unannounced(request):
            found += 1
            yield fragment
        if (
            request.before_seq is None
            and (end := await self.read_run_end(request.camera, request.run)) is not None
        ):
            yield end
        yield Healed(
            camera=request.camera,
            run=request.run,
            window_start_ms=request.window_start_ms,
            found=found,
        )

    async def _unannounced(self, request: HealRequested) -> AsyncIterator[FragmentArrived]:
        known = SeqRanges(request.known)
        if self._catalog is not None:
            # Retention deleted these fragments' own objects: the listing cannot find them.
            deleted = await tombstones.deleted_seqs(self._catalog, request.camera, request.run)
            last = MAX_SEQ if request.before_seq is None else request.before_seq - 1
            requested = deleted.within(request.after_seq + 1, last)
            unknown = SeqRanges(hole for pair in requested.ranges for hole in known.missing(*pair))
            async for fragment in tombstones.fragments_in_chunks(
                self._catalog, request.camera, request.run, unknown
            ):
                yield fragment
            known |= deleted
        prefix = run_prefix(request.camera, request.run)
        start_after = (
            fragment_key(request.camera, request.run, request.after_seq)
            if request.after_seq >= 0
            else ""
        )
        async for info in self._store.list(prefix, start_after):
            name = parse_fragment_key(info.key)
            if name is None or name.seq in known:
                continue
            if request.before_seq is not None and name.seq >= request.before_seq:
                return
            if (unannounced := await self.read_fragment(info)) is not None:
                yield unannounced

    async def read_fragment(self, info: ObjectInfo) -> FragmentArrived | None:
        """Return the event in an object's metadata (one HEAD), or None if it is invalid."""
        fragment = await stored_fragment(self._store, info.key, self._signatures)
        if fragment is None:
            return None  # deleted after the listing, or invalid
        if (fault := event_fault(fragment, self._clock_ms())) is not None:
            log_ignored(info.key, fault)
            return None
        return fragment

    async def read_run_end(self, camera: str, run: str) -> RunEnded | None:
        """Return the event in a run's end.json (one GET), or None if it is missing or invalid."""
        end = await stored_run_end(self._store, camera, run, self._signatures)
        if end is not None and (fault := event_fault(end, self._clock_ms())) is not None:
            log_ignored(run_end_key(camera, run), fault)
            return None
        return end
