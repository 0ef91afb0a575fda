"""The preview of a retention rule counts what the next pass deletes, no more and no less."""

from collections.abc import AsyncIterator

import pytest_asyncio

from domain.retention import DAY_MS, LegalHold, RetentionRule
from stores.catalog.retention_preview import RetentionPreview, is_unchanged, preview_rule
from stores.catalog.retention_rules import (
    add_hold,
    clear_rule,
    lift_hold,
    list_holds,
    lock_rules,
    set_rule,
)
from tests.conftest import Services
from tests.integration.consistency_support import WINDOW_MS, Place, now_ms, place
from tests.integration.retention_support import aged, enforce, filmed


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def preview(at: Place, days: int | None, *, at_ms: int | None = None) -> RetentionPreview:
    moment_ms = now_ms() if at_ms is None else at_ms
    return (await preview_rule(at.catalog, at.camera, days, at_ms=moment_ms))[0]


async def rows(at: Place) -> tuple[int, int]:
    return await at.count("chunks"), await at.count("fragments")


async def test_it_counts_what_is_then_deleted(at: Place) -> None:
    """Three windows and two fragments; the age ends between the second window and the third."""
    _, chunks = await filmed(at)
    at_ms = chunks[2].window_start_ms + WINDOW_MS + DAY_MS
    shown = await preview(at, 1, at_ms=at_ms)
    assert (shown.deleted.chunks, shown.deleted.fragments) == (2, 0)
    assert shown.deleted.size_bytes == chunks[0].size_bytes + chunks[2].size_bytes
    assert (shown.cameras, shown.days_before) == ((at.camera,), None)
    assert shown.oldest_ms == min(chunks[0].window_start_ms, chunks[0].start_ms)
    assert shown.newest_ms == max(chunks[2].window_start_ms + WINDOW_MS, chunks[2].end_ms)
    assert (shown.due.chunks, shown.held.chunks) == (0, 0), "there is no rule yet, and no hold"
    assert await rows(at) == (3, 2), "a preview deletes nothing"

    await aged(at, 1)
    await enforce(at, later_ms=at_ms - now_ms())
    assert await rows(at) == (1, 2)
    assert (await preview(at, 1, at_ms=at_ms)).deleted.chunks == 0


async def test_a_hold_in_the_way_is_counted_and_named(at: Place) -> None:
    _, chunks = await filmed(at)
    middle = chunks[2].start_ms + 4_000
    number, _ = await add_hold(at.catalog, LegalHold(at.camera, middle, middle + 1), "Ann", "7", 0)
    shown = await preview(at, 1)
    assert (shown.deleted.chunks, shown.deleted.fragments) == (2, 2)
    assert (shown.held.chunks, shown.held.size_bytes) == (1, chunks[2].size_bytes)
    assert shown.holds == (number,)
    await aged(at, 1)
    await enforce(at)
    assert await rows(at) == (1, 0)


async def test_what_the_rules_in_force_delete_anyway_is_shown(at: Place) -> None:
    await filmed(at)
    await set_rule(at.catalog, RetentionRule("acme", 2), "tests", 0)
    shown = await preview(at, 1)
    assert shown.deleted == shown.due
    assert shown.deleted.chunks == 3
    longer = await preview(at, 36_500)
    assert (longer.deleted.chunks, longer.cameras) == (0, ())
    await set_rule(at.catalog, RetentionRule(at.camera, 36_500), "tests", 0)
    removed = await preview(at, None)
    assert (removed.deleted.chunks, removed.due.chunks, removed.days_before) == (3, 0, 36_500)


async def test_another_cameras_own_rule_is_not_touched(at: Place) -> None:
    await filmed(at)
    await set_rule(at.catalog, RetentionRule(at.camera, 36_500), "tests", 0)
    tenant, _ = await preview_rule(at.catalog, "acme", 1, at_ms=now_ms())
    assert at.camera not in tenant.cameras
    other, _ = await preview_rule(at.catalog, "acm", 1, at_ms=now_ms())
    assert other.deleted.chunks == 0, "a tenant whose name begins alike"


async def test_any_change_of_rules_holds_or_footage_is_noticed(at: Place) -> None:
    _, chunks = await filmed(at)
    at_ms = now_ms()

    async def digest() -> str:
        return (await preview_rule(at.catalog, at.camera, 1, at_ms=at_ms))[1]

    shown, before = await preview_rule(at.catalog, at.camera, 1, at_ms=at_ms)
    assert await digest() == before
    async with at.catalog.transaction() as connection:
        await lock_rules(connection)
        assert await is_unchanged(connection, shown, before)
    await add_hold(at.catalog, LegalHold("acme", 0), "Ann", "7", 0)
    async with at.catalog.transaction() as connection:
        await lock_rules(connection)
        assert not await is_unchanged(connection, shown, before)
    assert await digest() != before
    for hold in await list_holds(at.catalog):
        await lift_hold(at.catalog, hold.id, "Ann", 1)
    assert await digest() == before
    await set_rule(at.catalog, RetentionRule("acme", 40), "tests", 0)
    assert await digest() != before
    await clear_rule(at.catalog, "acme", 1)
    await set_rule(at.catalog, RetentionRule("globex", 1), "tests", 0)
    assert await digest() == before, "a rule of another tenant does not matter"
    async with at.catalog.transaction() as connection:
        await connection.execute("DELETE FROM chunks WHERE run = $1", chunks[0].run)
    assert await digest() != before
