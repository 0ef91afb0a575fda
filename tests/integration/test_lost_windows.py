"""A window of which nothing can be joined: not played, shown as a gap, not brought back."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.healing.reconciler import ReconcileOptions, Reconciler
from agents.indexing.row_writers import row_writer_for
from agents.joining.join_errors import NothingToJoinError
from agents.joining.joiner import Joiner
from domain.events import FragmentArrived, WindowLost, parse
from domain.events.registry import encode
from domain.gaps import OBJECT_MISSING
from domain.identity import fragment_key
from stores.catalog import index_fragments
from stores.catalog.index import index_lost
from stores.catalog.timeline import covered, reported_gaps
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, WINDOW_MS, Place, due_of, now_ms, place

SEQS = range(5)
END_MS = START_MS + 2 * WINDOW_MS


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def _lost(at: Place) -> tuple[list[FragmentArrived], WindowLost]:
    """Announce five fragments: three have no object, two have other bytes than their events say."""
    recorder = at.recorder()
    events = []
    for seq in SEQS:
        event = await recorder.put(at.store, seq)
        key = fragment_key(event.camera, event.run, seq)
        if seq % 2:
            await at.overwrite(key, b"not the announced bytes")
        else:
            await at.store.delete([key])
        events.append(event)
    await at.announce(*events)
    with pytest.raises(NothingToJoinError) as raised:
        await Joiner(at.store, now_ms).join(due_of(events))
    lost = parse(encode(raised.value.lost))
    assert isinstance(lost, WindowLost)
    return events, lost


async def test_it_is_shown_as_a_gap_and_no_longer_played(at: Place) -> None:
    events, lost = await _lost(at)
    assert await covered(at.catalog, at.camera, START_MS, END_MS) == [(START_MS, events[-1].end_ms)]
    assert (kind := row_writer_for(lost, now_ms())) is not None
    assert await kind.write(at.catalog, [lost], now_ms()) == 1
    assert await kind.write(at.catalog, [lost], now_ms()) == 0
    assert await at.count("fragments") == 0
    assert await covered(at.catalog, at.camera, START_MS, END_MS) == []
    gaps = await reported_gaps(at.catalog, at.camera, START_MS, END_MS)
    assert [(gap.from_ms, gap.to_ms) for gap in gaps] == [
        (event.start_ms, event.end_ms) for event in events
    ]
    assert [gap.reason == OBJECT_MISSING for gap in gaps] == [seq % 2 == 0 for seq in SEQS]


async def test_it_may_come_before_its_fragments_notices(at: Place) -> None:
    """Topics are read in parallel, and again in a replay."""
    events, lost = await _lost(at)
    await index_lost(at.catalog, [lost], now_ms())
    assert await index_fragments(at.catalog, events, now_ms()) == 0
    next_one = at.recorder().film(5)[0]
    assert await index_fragments(at.catalog, [next_one], now_ms()) == 1


async def test_the_reconciler_announces_it_no_more(at: Place) -> None:
    """But what was missing and exists again is announced."""
    events, lost = await _lost(at)
    await index_lost(at.catalog, [lost], now_ms())
    what = ReconcileOptions(0, now_ms() + 3_600_000, 1, WINDOW_MS)

    async def announced() -> list[object]:
        return [
            each async for each in Reconciler(at.store, at.catalog, what).events_to_send(at.camera)
        ]

    assert await announced() == []
    await at.recorder().put(at.store, 0)
    assert [getattr(each, "seq", None) for each in await announced()] == [0]
    assert events[0].seq == 0


async def test_a_chunk_that_can_be_made_after_all_is_played(at: Place) -> None:
    events, lost = await _lost(at)
    await index_lost(at.catalog, [lost], now_ms())
    await at.recorder().put(at.store, 0)
    chunk = await at.join(at.recorder(), list(SEQS))
    assert [each.seq for each in chunk.fragments] == [0]
    assert await covered(at.catalog, at.camera, START_MS, END_MS) == [(START_MS, events[0].end_ms)]
