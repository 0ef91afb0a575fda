"""Healing: what stands in S3 below a run's prefix and was never heard of is sent as events.

Retention deletes fragments that chunks hold, and footage for its age. Given the catalog, the
healer tells of the first from their chunks, since they are no gap, and never of the second.
"""

import logging
from collections.abc import AsyncIterator, Callable

from pydantic import ValidationError

from domain.errors import InvalidEventError, ObjectMissingError
from domain.events import (
    Event,
    FragmentArrived,
    Healed,
    HealRequested,
    RunEnded,
    parse,
)
from domain.identity import MAX_SEQ, fragment_key, parse_fragment_key, run_end_key, run_prefix
from domain.seqs import SeqRanges
from domain.times import too_far_ahead
from stores.catalog import Catalog, tombstones
from stores.objects import ObjectInfo, ObjectStore

log = logging.getLogger(__name__)


class Healer:
    """Lists one bucket. `clock_ms` gives UTC in milliseconds."""

    def __init__(
        self, store: ObjectStore, clock_ms: Callable[[], int], catalog: Catalog | None = None
    ) -> None:
        """Without a catalog it knows of no deletions."""
        self._store = store
        self._clock_ms = clock_ms
        self._catalog = catalog

    async def heal(self, request: HealRequested) -> AsyncIterator[Event]:
        """Yield the fragments unseen, the run's end where it stands, and `Healed` last.

        One listing request per 1,000 keys and one HEAD per unseen fragment. Raises StoreError
        where S3 or the catalog fails: then ask again from the start, which is harmless.
        """
        found = 0
        async for fragment in self._unseen(request):
            found += 1
            yield fragment
        if (
            request.before_seq is None
            and (end := await self.end(request.camera, request.run)) is not None
        ):
            yield end
        yield Healed(
            camera=request.camera,
            run=request.run,
            window_start_ms=request.window_start_ms,
            found=found,
        )

    async def _unseen(self, request: HealRequested) -> AsyncIterator[FragmentArrived]:
        known = SeqRanges(request.known)
        if self._catalog is not None:
            buried = await tombstones.deleted_seqs(self._catalog, request.camera, request.run)
            last = MAX_SEQ if request.before_seq is None else request.before_seq - 1
            asked = buried.within(request.after_seq + 1, last)
            unheard = SeqRanges(hole for pair in asked.ranges for hole in known.missing(*pair))
            async for told in tombstones.fragments_in_chunks(
                self._catalog, request.camera, request.run, unheard
            ):
                yield told
            known |= buried
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
            if (fragment := await self.fragment(info)) is not None:
                yield fragment

    async def fragment(self, info: ObjectInfo) -> FragmentArrived | None:
        """Return what an object's metadata says (one HEAD), or None where it is not believable."""
        try:
            head = await self._store.head(info.key)
            fragment = FragmentArrived.from_metadata(dict(head.metadata))
        except ObjectMissingError:
            return None  # deleted between listing and looking
        except ValidationError as error:
            _not_taken(info.key, error.errors()[0]["msg"])
            return None
        key = fragment_key(fragment.camera, fragment.run, fragment.seq)
        if key != info.key or fragment.size_bytes != head.size_bytes:
            _not_taken(info.key, "key or size differ")
            return None
        if too_far_ahead(fragment.start_ms, self._clock_ms()):
            _not_taken(info.key, "it starts in the future")
            return None
        return fragment

    async def end(self, camera: str, run: str) -> RunEnded | None:
        """Return what a run's end.json says (one GET), or None without a believable one."""
        key = run_end_key(camera, run)
        try:
            event = parse(await self._store.get(key))
        except ObjectMissingError:
            return None
        except InvalidEventError as error:
            _not_taken(key, str(error))
            return None
        if isinstance(event, RunEnded) and (event.camera, event.run) == (camera, run):
            return event
        return None


def _not_taken(key: str, reason: str) -> None:
    log.warning("object not taken in: %s", reason, extra={"key": key})
