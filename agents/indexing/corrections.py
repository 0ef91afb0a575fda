"""Corrects rows whose first notice was wrong, and ends of runs: the objects in S3 decide."""

import asyncio
from collections.abc import Sequence

from domain.events import FragmentArrived, RunEnded, RunStarted
from domain.identity import fragment_key
from stores.catalog import Catalog
from stores.catalog.index import differing_fragments, replace_fragments
from stores.objects import ObjectStore
from stores.stored_fragment import ObjectSignatures, stored_run_end, whole_fragment


async def correct_rows(
    catalog: Catalog, store: ObjectStore, events: Sequence[FragmentArrived], now_ms: int
) -> int:
    """Replace rows with other bytes or times than these events, where S3 agrees with the event.

    Returns how many. One query; a HEAD for each row that differs. Raises StoreError.
    """
    true = []
    for event in await differing_fragments(catalog, events):
        stored = await whole_fragment(store, fragment_key(event.camera, event.run, event.seq))
        # The event was checked when it arrived: an object that says the same needs no signature.
        if stored is not None and _facts(stored) == _facts(event):
            true.append(event)
    return await replace_fragments(catalog, true, now_ms)


def _facts(event: FragmentArrived) -> FragmentArrived:
    """Return it without what a notice may have and the object not, and the other way round."""
    return event.without_keyframes.with_previous(None)


async def true_runs(
    store: ObjectStore,
    events: Sequence[RunStarted | RunEnded],
    signatures: ObjectSignatures | None = None,
    *,
    keep_unknown: bool = False,
) -> list[RunStarted | RunEnded]:
    """Return the events with each end as S3 has it; without those of which S3 has no end.json.

    With `keep_unknown` these are kept: retention deletes the end.json of runs without footage.
    One GET for each run that ended. Raises StoreError.
    """
    ended = {(each.camera, each.run): each for each in events if isinstance(each, RunEnded)}
    found = await asyncio.gather(
        *(stored_run_end(store, *run, signatures, known=end) for run, end in ended.items())
    )
    ends = dict(zip(ended, found, strict=True))
    true: list[RunStarted | RunEnded] = []
    for event in events:
        end = ends.get((event.camera, event.run)) if isinstance(event, RunEnded) else event
        if end is not None:
            true.append(end)
        elif keep_unknown:
            true.append(event)
    return true
