"""The joiner and what retention deleted: asked for again, late, or while it is young."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.joining.join_errors import WindowDeletedError
from agents.joining.joiner import Joiner
from domain.events import ChunkComplete
from domain.retention import DAY_MS
from stores.catalog import Catalog
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, WINDOW_MS, Place, due_of, now_ms, place
from tests.integration.retention_support import aged, enforce, filmed, kinds
from tests.recorder import Recorder


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def _join(at: Place, recorder: Recorder, seqs: list[int]) -> ChunkComplete:
    async def catalog() -> Catalog:
        return at.catalog

    due = due_of([recorder.film(seq)[0] for seq in seqs])
    return await Joiner(at.store, now_ms, catalog).join(due)


async def test_a_deleted_window_is_not_made_again(at: Place) -> None:
    """Asked for again, and for fragments that came only after the window was deleted."""
    recorder, _ = await filmed(at)
    await aged(at)
    await enforce(at)
    assert kinds(await at.keys()) == (0, 0)
    late = recorder.film(4)[0]
    await recorder.put(at.store, 4)
    for seqs in ([0, 1, 2, 3, 4], [late.seq]):
        with pytest.raises(WindowDeletedError):
            await _join(at, recorder, seqs)
    assert kinds(await at.keys()) == (1, 0), "the late fragment's own object alone"


async def test_other_windows_of_the_run_are_made(at: Place) -> None:
    recorder, _ = await filmed(at)
    await aged(at)
    await enforce(at)
    for seq in (25, 26):
        await recorder.put(at.store, seq)
    assert [each.seq for each in (await _join(at, recorder, [25, 26])).fragments] == [25, 26]


async def test_a_deleted_revision_keeps_nothing_from_being_joined(at: Place) -> None:
    """Its tombstone names its digest: the window itself is there."""
    recorder, chunks = await filmed(at)
    await enforce(at)
    assert kinds(await at.keys()) == (2, 6), "superseded and joined ones are gone"
    assert await _join(at, recorder, [5, 6, 8, 9]) == chunks[2]


async def test_the_catalog_is_not_asked_for_a_young_window(at: Place) -> None:
    """What cannot have been deleted for its age is joined without the catalog."""
    recorder = Recorder(at.camera, START_MS)
    await recorder.put(at.store, 0)
    due = due_of([recorder.film(0)[0]])

    async def unreachable() -> Catalog:
        raise AssertionError("the catalog was asked")

    end_ms = START_MS + WINDOW_MS
    young = Joiner(at.store, lambda: end_ms + DAY_MS // 2 - 1, unreachable)
    assert (await young.join(due)).revision == 1
    with pytest.raises(AssertionError, match="was asked"):
        await Joiner(at.store, lambda: end_ms + DAY_MS // 2, unreachable).join(due)
