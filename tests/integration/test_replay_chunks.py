"""`vigil replay chunks` on real servers: the same footage in other windows, each fragment once."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from agents.joining.joiner import Joiner
from agents.replay import chunks as module
from cli.replay_catalog import rebuild
from cli.replay_chunks import remake
from domain.errors import ConfigError
from domain.events import ChunkComplete
from domain.identity import fragment_key, manifest_key
from domain.rechunk import in_existing_windows
from domain.retention import LegalHold
from domain.times import format_ms
from stores.catalog import index_chunks
from stores.catalog.playback import locate_chunk, playback_segments
from stores.catalog.rechunk import chunks_of_other_length
from stores.catalog.retention_rules import add_hold
from tests.conftest import Services
from tests.integration.catalog_support import audited
from tests.integration.consistency_support import START_MS, WINDOW_MS, due_of, now_ms
from tests.integration.replay_support import Stage, arguments, rows, stage
from tests.recorder import Recorder

END_MS = START_MS + 4 * WINDOW_MS
BEYOND_MS = 2 * 3_600_000
"""Later than any margin."""


@pytest_asyncio.fixture
async def at(services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with stage(monkeypatch) as made:
        yield made


async def filmed(at: Stage) -> tuple[Recorder, list[ChunkComplete]]:
    """Make four whole windows of 10 s, one of them in two revisions; nothing waits."""
    recorder = at.recorder()
    for seq in range(20):
        await at.announce(await recorder.put(at.store, seq))
    seqs = ([0, 1, 2, 3, 4], [5, 6, 8, 9], [10, 11, 12, 13, 14], [7], [15, 16, 17, 18, 19])
    made = [await at.join(recorder, each) for each in seqs]
    return recorder, [made[0], made[3], made[2], made[4]]


def again(window: str, *more: str) -> list[str]:
    span = ["--from", format_ms(START_MS), "--to", format_ms(END_MS)]
    return ["chunks", "--window", window, *span, *more]


async def played(at: Stage) -> list[tuple[str, int, int, bytes]]:
    """Return what a playlist of all footage plays: run, seq, start and bytes of each fragment."""
    found = []
    for piece in await playback_segments(at.catalog, at.camera, START_MS, END_MS):
        if piece.offset is None:
            key, first = fragment_key(at.camera, piece.run, piece.seq), 0
        else:
            assert piece.window_start_ms is not None and piece.digest is not None
            name = piece.run, piece.window_start_ms, piece.digest
            place = await locate_chunk(at.catalog, at.camera, *name)
            assert place is not None
            key, first = place.key, piece.offset
        data = await at.store.get(key, first, first + piece.size_bytes - 1)
        found.append((piece.run, piece.seq, piece.start_ms, data))
    return found


async def lengths(at: Stage) -> list[tuple[int, int, list[int]]]:
    async with at.catalog.transaction() as connection:
        found = await connection.fetch(
            "SELECT window_start_ms, window_ms, fragments FROM chunks WHERE camera = $1 "
            "ORDER BY window_start_ms",
            at.camera,
        )
    return [
        (
            (row["window_start_ms"] - START_MS) // 1_000,
            row["window_ms"] // 1_000,
            [each["seq"] for each in row["fragments"]],
        )
        for row in found
    ]


async def test_the_same_footage_in_longer_windows(at: Stage) -> None:
    recorder, old = await filmed(at)
    await at.enforce()  # the fragments' own objects are gone: bytes are in the chunks alone
    before = await played(at)
    assert [seq for _, seq, _, _ in before] == list(range(20))
    outcome = await remake(arguments(*again("20s")))
    assert (outcome.made, outcome.replaced, outcome.left) == (2, 4, {})
    begun, ended = await audited(at.catalog, "replay:chunks")
    assert (begun[1]["state"], begun[1]["window_ms"]) == ("begun", 20_000)
    assert ended[1] == {"state": "ended", "made": 2, "replaced": 4, "left": {}}
    assert await lengths(at) == [(0, 20, list(range(10))), (20, 20, list(range(10, 20)))]
    assert await played(at) == before
    for chunk in old:  # a player that has the old addresses goes on
        place = await locate_chunk(
            at.catalog, at.camera, chunk.run, chunk.window_start_ms, chunk.digest
        )
        assert place is not None and place.key == chunk.object_key
        await at.store.head(place.key)
    assert await at.kinds(bytes=True) == []
    rows_before = await rows(at.dsn)
    twice = await remake(arguments(*again("20s")))
    assert (twice.made, twice.replaced, twice.checked) == (0, 0, 2)
    assert await rows(at.dsn) == rows_before

    await at.enforce(0)
    assert old[0].object_key in await at.keys(), "it has its grace"
    await at.enforce(BEYOND_MS)
    keys = await at.keys()
    assert not {chunk.object_key for chunk in old} & set(keys)
    assert not {manifest_key(chunk.object_key) for chunk in old} & set(keys)
    assert len(keys) == 4, "two chunks with their manifests"
    assert await played(at) == before
    assert await at.kinds(bytes=True) == []
    assert recorder.run == before[0][0]


async def test_shorter_windows_and_a_rebuild_agree(at: Stage) -> None:
    await filmed(at)
    before = await played(at)
    outcome = await remake(arguments(*again("4s")))
    assert outcome.left == {}
    assert {window for _, window, _ in await lengths(at)} == {4}
    assert await played(at) == before
    await rebuild(arguments("catalog", "--schema", "rebuilt"))
    assert await rows(at.dsn, "rebuilt") == await rows(at.dsn)
    assert (await rebuild(arguments("catalog"))).changes == {}
    assert await at.kinds(bytes=True) == []


async def test_old_events_that_come_again_change_nothing(at: Stage) -> None:
    """Old windows may stay in the stream for long: a late fragment, a run that was forgotten."""
    recorder, old = await filmed(at)
    before = await played(at)
    await remake(arguments(*again("20s")))
    rows_before = await rows(at.dsn)
    await index_chunks(at.catalog, old, now_ms())
    late = await at.join(recorder, range(10), window_ms=WINDOW_MS)
    assert late.window_ms == WINDOW_MS
    assert await rows(at.dsn) == rows_before
    assert await played(at) == before


@pytest.mark.parametrize("old_exist", [True, False])
async def test_what_comes_late_joins_the_new_windows(at: Stage, old_exist: bool) -> None:
    recorder = at.recorder()
    for seq in (each for each in range(10) if each != 7):
        await at.announce(await recorder.put(at.store, seq))
    await at.join(recorder, range(5))
    await at.join(recorder, [5, 6, 8, 9])
    await remake(arguments(*again("20s")))
    if not old_exist:
        await at.enforce(BEYOND_MS)
    event = await recorder.put(at.store, 7)
    await at.announce(event)
    for asked in (due_of([event]), due_of([recorder.film(seq)[0] for seq in range(5, 10)])):
        for due in in_existing_windows(asked, await chunks_of_other_length(at.catalog, asked)):
            await at.say(await Joiner(at.store, now_ms).join(due))
    assert await lengths(at) == [(0, 20, list(range(10)))]
    assert [seq for _, seq, _, _ in await played(at)] == list(range(10))
    assert await at.count("fragments") == 0
    assert await at.kinds(bytes=True) == []


async def test_a_hold_keeps_the_old_objects(at: Stage) -> None:
    _, old = await filmed(at)
    await add_hold(at.catalog, LegalHold(at.camera, START_MS, START_MS + 1), "Ann", "7", 0)
    await remake(arguments(*again("20s")))
    await at.enforce(BEYOND_MS)
    keys = await at.keys()
    assert [chunk.object_key in keys for chunk in old] == [True, False, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("dies_at", [1, 2, 3, 5, 7, 9])
async def test_it_dies_and_goes_on(
    at: Stage, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """Killed at any step: each fragment is in one chunk, then and at the end."""
    await filmed(at)
    before = await played(at)
    left = dies_at

    def mortal(true: object) -> object:
        async def step(*given: object, **more: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            result = await true(*given, **more)  # type: ignore[operator]
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return result

        return step

    with monkeypatch.context() as patch:
        patch.setattr(module.rechunk, "replace_chunks", mortal(module.rechunk.replace_chunks))
        patch.setattr(module, "save_bookmark", mortal(module.save_bookmark))
        patch.setattr(module.ChunksReplay, "_send", mortal(module.ChunksReplay._send))
        with pytest.raises(KeyboardInterrupt):
            await remake(arguments(*again("20s")))
    assert await played(at) == before
    outcome = await remake(arguments(*again("20s")))
    assert outcome.left == {}
    assert await played(at) == before
    assert await lengths(at) == [(0, 20, list(range(10))), (20, 20, list(range(10, 20)))]
    await rebuild(arguments("catalog", "--schema", "rebuilt"))
    assert await rows(at.dsn, "rebuilt") == await rows(at.dsn)
    assert await at.kinds(bytes=True) == []


async def test_what_is_in_work_or_lost_is_left(at: Stage) -> None:
    recorder, old = await filmed(at)
    late = at.recorder(2, START_MS + WINDOW_MS)
    await at.announce(await late.put(at.store, 0))
    key = old[2].object_key
    data = await at.store.get(key)
    await at.overwrite(key, bytes(len(data)))
    await at.store.delete([fragment_key(at.camera, recorder.run, 12)])
    outcome = await remake(arguments(*again("20s")))
    assert outcome.made == 0
    assert sorted(outcome.left.values()) == [1, 1]
    assert any("are not joined yet" in why for why in outcome.left)
    assert "bytes are missing" in outcome.left
    assert [each[1] for each in await lengths(at)] == [10, 10, 10, 10]


async def test_going_back_is_refused_whole(at: Stage) -> None:
    await filmed(at)
    await remake(arguments(*again("20s")))
    rows_before = await rows(at.dsn)
    outcome = await remake(arguments(*again("10s")))
    assert outcome.made == 0 and sum(outcome.left.values()) == 2
    assert await rows(at.dsn) == rows_before


async def test_borders_and_bad_arguments(at: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    await filmed(at)
    odd = ["--from", format_ms(START_MS + 3_000), "--to", format_ms(START_MS + 12_000)]
    await remake(arguments("chunks", "--window", "20s", *odd))
    assert "so that windows are replaced as a whole" in capsys.readouterr().err
    assert [each[1] for each in await lengths(at)] == [20, 10, 10]
    soon = ["--from", format_ms(START_MS), "--to", format_ms(now_ms() - 60_000)]
    with pytest.raises(ConfigError, match="may still be open"):
        await remake(arguments("chunks", "--window", "20s", *soon))
    with pytest.raises(ConfigError, match="share a border only every"):
        await remake(arguments(*again("3599s")))
    with pytest.raises(ConfigError, match="not registered"):
        await remake(arguments(*again("20s", "--camera", "acme/no/where")))
    with pytest.raises(ConfigError, match="1s to 1h"):
        await remake(arguments(*again("2h")))
