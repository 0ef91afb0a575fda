"""`vigil replay catalog` on real servers: the rows come back as they were, and nothing else."""

import random
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio

from agents.indexing.row_writers import ROW_WRITERS, row_writer_for
from agents.replay import catalog as module
from cli.replay_catalog import rebuild
from domain.errors import ConfigError
from domain.events import AnyEvent, Deleted, Detection
from domain.events.examples import EXAMPLES
from domain.retention import DAY_MS, LegalHold, RetentionRule
from domain.times import format_ms
from stores.catalog import Catalog, migrate
from stores.catalog.bookmarks import load_bookmark
from stores.catalog.retention import cameras_with_footage
from stores.catalog.retention_rules import add_hold, set_rule
from stores.catalog.schema_copy import copy_decisions, restore_deletion_marks
from streams import topics
from tests.conftest import Services
from tests.integration.consistency_support import START_MS, now_ms
from tests.integration.replay_support import (
    RecordingSender,
    Stage,
    arguments,
    heartbeat,
    rows,
    stage,
)
from tests.integration.retention_support import aged


@pytest_asyncio.fixture
async def at(services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with stage(monkeypatch) as made:
        yield made


async def detected(at: Stage, run: str) -> None:
    seen = EXAMPLES["detection"]
    assert isinstance(seen, Detection)
    frames = [frame.model_copy(update={"at_ms": START_MS + 500}) for frame in seen.frames]
    await at.say(seen.model_copy(update={"camera": at.camera, "run": run, "frames": frames}))


async def lived(at: Stage) -> None:
    """Let two cameras live: footage, revisions, detections, heartbeats, retention, a hold."""
    recorder = await at.record()
    await detected(at, recorder.run)
    await at.say(heartbeat(at.camera, START_MS + 1), heartbeat(at.camera, START_MS))
    await at.end(recorder)
    other = await at.second()
    await other.record(1, START_MS + DAY_MS)
    await set_rule(at.catalog, RetentionRule(at.camera, 3_000), "tests", 0)
    await add_hold(at.catalog, LegalHold(at.camera, START_MS, START_MS + 1), "Ann", "7", 0)


@pytest.mark.slow
async def test_another_schema_gets_the_same_rows(at: Stage) -> None:
    await lived(at)
    await at.enforce()  # joined fragments and the older revision go
    before = await rows(at.dsn)
    assert all(before[table] for table in ("footage", "runs", "fragments", "chunks", "detections"))
    tally = await rebuild(arguments("catalog", "--schema", "rebuilt"))
    assert await rows(at.dsn, "rebuilt") == before
    assert await rows(at.dsn) == before
    assert tally.changes["chunks"] == 6
    assert tally.unreadable == 0
    again = await rebuild(arguments("catalog", "--schema", "rebuilt"))
    assert (again.changes, again.read) == ({}, tally.read)
    in_place = await rebuild(arguments("catalog"))
    assert in_place.changes == {}
    assert await rows(at.dsn) == before


async def test_rows_that_were_lost_come_back(at: Stage) -> None:
    await lived(at)
    before = await rows(at.dsn)
    await at.execute("DELETE FROM chunks WHERE camera = $1", at.camera)
    await at.execute("DELETE FROM runs WHERE camera = $1", at.camera)
    await at.execute("DELETE FROM detections WHERE camera = $1", at.camera)
    await at.execute("DELETE FROM detection_minutes WHERE camera = $1", at.camera)
    other = at.camera.replace("/gate", "/door")
    assert (await rebuild(arguments("catalog", "--camera", other))).changes == {}
    tally = await rebuild(arguments("catalog", "--camera", at.camera))
    assert tally.changes["chunks"] == 3
    assert await rows(at.dsn) == before


async def test_what_retention_deleted_does_not_come_back(at: Stage) -> None:
    await lived(at)
    other = await at.second()
    await aged(other)
    await other.enforce(0)
    before = await rows(at.dsn)
    assert not any(other.camera in row for row in before["chunks"] + before["fragments"])
    await rebuild(arguments("catalog", "--schema", "rebuilt"))
    after = await rows(at.dsn, "rebuilt")
    assert after == before
    assert (await rebuild(arguments("catalog"))).changes == {}


@pytest.mark.parametrize("seed", range(2))
async def test_any_order_and_again_gives_the_same_rows(at: Stage, seed: int) -> None:
    """Tombstones first, then all else in any order, some of it twice; then once more."""
    await lived(at)
    await at.enforce()
    before = await rows(at.dsn)
    sent = cast(RecordingSender, at.sent).events
    draw = random.Random(seed)
    rest = [each for each in sent if not isinstance(each, Deleted)]
    rest += draw.sample(rest, len(rest) // 3)
    draw.shuffle(rest)
    await migrate(at.dsn, "mixed")
    async with Catalog(at.dsn, schema="mixed") as mixed:
        await copy_decisions(mixed, "public")
        changed = []
        for events in ([each for each in sent if isinstance(each, Deleted)], rest, rest):
            changed.append(0)
            for start in range(0, len(events), 7):
                for kind in ROW_WRITERS:
                    some = [
                        each
                        for each in events[start : start + 7]
                        if row_writer_for(cast(AnyEvent, each), now_ms()) is kind
                    ]
                    changed[-1] += await kind.write(mixed, some, now_ms()) if some else 0
        for camera in await cameras_with_footage(mixed):
            await restore_deletion_marks(mixed, camera, pending_known=True)
    assert await rows(at.dsn, "mixed") == before, f"seed {seed}"
    assert changed[1] > 0
    assert changed[2] == 0, f"seed {seed}"


async def test_without_a_catalog_in_use_tombstones_come_from_kafka(at: Stage) -> None:
    recorder = await at.record()
    await at.enforce()
    before = await rows(at.dsn)
    for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
        async with at.catalog.transaction() as connection:
            await connection.execute(statement)
    await rebuild(arguments("catalog", "--schema", "rebuilt"))
    after = await rows(at.dsn, "rebuilt")
    for table in ("footage", "runs", "fragments", "tombstones"):
        assert after[table] == before[table], table
    assert len(after["chunks"]) == 3
    assert recorder.run in after["runs"][0]


async def test_what_kafka_has_deleted_is_read_from_s3(
    at: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = await at.record()
    await at.end(recorder)
    await at.enforce()
    await at.cut(topics.CHUNK_COMPLETE, topics.FRAGMENT_ARRIVED)
    late = at.recorder(3, START_MS + DAY_MS)
    await at.announce(await late.put(at.store, 0))  # Kafka still has this one
    before = await rows(at.dsn)
    tally = await rebuild(arguments("catalog", "--schema", "rebuilt"))
    output = capsys.readouterr().err
    assert "Kafka has deleted events after the beginning" in output
    assert "S3 is read first" in output
    assert tally.from_s3 >= 6
    after = await rows(at.dsn, "rebuilt")
    known_from_start = ('"edge": "edge-1"', '"edge": null'), ('"stream": "main"', '"stream": null')
    for word, nothing in known_from_start:  # only run-started has it, and it is deleted
        before["runs"] = [row.replace(word, nothing) for row in before["runs"]]
    assert after == before
    again = await rebuild(arguments("catalog", "--schema", "rebuilt"))
    assert again.changes == {}
    since = await rebuild(arguments("catalog", "--from", format_ms(now_ms() - 1)))
    assert since.changes == {}


@pytest.mark.slow
async def test_it_goes_on_where_it_stopped(at: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after each of its first steps in turn, as by kill -9."""
    await lived(at)
    await at.cut(topics.FRAGMENT_ARRIVED, keep=5)
    monkeypatch.setattr(module, "SAVE_EVERY_S", 0)
    true = module.save_bookmark
    whole = await rebuild(arguments("catalog", "--schema", "whole"))
    expected = await rows(at.dsn, "whole")
    steps = 0
    for dies_at in (2, 4, 7, 11, 16):
        left = dies_at

        async def mortal(*given: object) -> None:
            nonlocal left
            await true(*given)  # type: ignore[arg-type]
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

        monkeypatch.setattr(module, "save_bookmark", mortal)
        try:
            await rebuild(arguments("catalog", "--schema", f"died_{dies_at}"))
        except KeyboardInterrupt:
            steps += 1
            async with Catalog(at.dsn, schema=f"died_{dies_at}") as half:
                assert await load_bookmark(half, "catalog from time None of all") is not None
        monkeypatch.setattr(module, "save_bookmark", true)
        tally = await rebuild(arguments("catalog", "--schema", f"died_{dies_at}"))
        assert await rows(at.dsn, f"died_{dies_at}") == expected
        assert tally.read == whole.read
    assert steps >= 3


async def test_bad_arguments_are_reported_in_a_sentence(at: Stage) -> None:
    for given, says in (
        (["--schema", "Bad-Name"], "is not a schema name"),
        (["--from-offset", "-1"], "at least 0"),
        (["--from", format_ms(now_ms() + DAY_MS)], "future"),
    ):
        with pytest.raises(ConfigError, match=says):
            await rebuild(arguments("catalog", *given))
    async with at.catalog.try_advisory_lock("replay catalog") as mine:
        assert mine
        with pytest.raises(ConfigError, match="Another replay"):
            await rebuild(arguments("catalog"))
