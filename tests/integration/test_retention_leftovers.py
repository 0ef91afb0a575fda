"""What is left when footage goes for its age: runs' ends in S3, and days without rows."""

import hashlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from domain.events import RunEnded, encode
from domain.identity import run_end_key
from domain.retention import LegalHold
from stores.catalog import index_runs
from stores.catalog.partitions import drop_empty_partitions
from stores.catalog.retention_rules import add_hold, lift_hold
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, Place, now_ms, place
from tests.integration.retention_support import aged, enforce, filmed

DAY_MS = 86_400_000


@pytest_asyncio.fixture
async def at(services: Services) -> AsyncIterator[Place]:
    async with place(services.settings) as made:
        yield made


async def ended(at: Place) -> str:
    """Film a run and end it; return the key of its end."""
    recorder, _ = await filmed(at)
    event = RunEnded(
        camera=at.camera, run=recorder.run, ended_ms=START_MS + 34_000, last_seq=16, reason="x"
    )
    key, data = run_end_key(at.camera, recorder.run), encode(event)
    await at.store.put_once(
        key,
        data,
        sha256=hashlib.sha256(data).hexdigest(),
        metadata={},
        content_type="application/json",
    )
    await index_runs(at.catalog, [event])
    return key


async def test_a_runs_end_goes_after_its_footage_and_its_row_stays(at: Place) -> None:
    key = await ended(at)
    await enforce(at)
    assert key in await at.keys(), "its chunks exist"
    await aged(at)
    done = await enforce(at, later_ms=0)
    assert await at.keys() == []
    assert done.objects["age"] == 2 + 6 + 1
    assert await at.count("runs") == 1
    assert (await enforce(at, later_ms=0)).objects == {}
    outcomes, _ = await at.check()
    assert outcomes == []


@pytest.mark.parametrize("lifted", [False, True])
async def test_a_hold_keeps_a_runs_end(at: Place, lifted: bool) -> None:
    key = await ended(at)
    await aged(at)
    hold = LegalHold(at.camera, START_MS + 33_000, START_MS + 34_000)  # a fragment without chunk
    number, _ = await add_hold(at.catalog, hold, "court", "case 7", 0)
    await enforce(at, later_ms=0)
    if lifted:
        await lift_hold(at.catalog, number, "court", 1)
    await enforce(at, later_ms=0)
    assert (key in await at.keys()) is not lifted


async def parts(at: Place) -> list[str]:
    rows = await at.catalog.rows("partitions_before", "99999999")
    return [row["part"] for row in rows]


async def test_days_of_which_nothing_is_left_go_and_come_again(at: Place) -> None:
    await filmed(at)
    before = await parts(at)
    assert [each for each in before if each.startswith("chunks_")]
    assert await drop_empty_partitions(at.catalog, now_ms()) == 0, "their chunks exist"
    await aged(at)
    await enforce(at, later_ms=0)
    assert await drop_empty_partitions(at.catalog, START_MS - 2 * DAY_MS) == 0, (
        "not before their time"
    )
    assert await drop_empty_partitions(at.catalog, now_ms()) == len(before)
    assert await parts(at) == []
    await at.execute("DELETE FROM tombstones")
    await at.film(3)
    assert await at.count("chunks") == 3
