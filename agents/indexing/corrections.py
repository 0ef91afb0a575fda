"""Corrects rows of fragments whose first notice was wrong: the bytes in S3 decide."""

from collections.abc import Sequence

from domain.events import FragmentArrived
from domain.identity import fragment_key
from stores.catalog import Catalog
from stores.catalog.index import differing_fragments, replace_fragments
from stores.objects import ObjectStore
from stores.stored_fragment import whole_fragment


async def correct_rows(
    catalog: Catalog, store: ObjectStore, events: Sequence[FragmentArrived], now_ms: int
) -> int:
    """Replace rows that name other bytes than these events, where S3 agrees with the event.

    Returns how many. One query; a HEAD for each row that differs. Raises StoreError.
    """
    true = []
    for event in await differing_fragments(catalog, events):
        stored = await whole_fragment(store, fragment_key(event.camera, event.run, event.seq))
        if stored is not None and stored.sha256 == event.sha256:
            true.append(event)
    return await replace_fragments(catalog, true, now_ms)
